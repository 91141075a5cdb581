"""The seam between package formats and the rest: one reader per format, all alike."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from configs.schema import SensorConfig
from processing.model.scene import Delivery, Scene
from processing.readers.package import PackageFiles

UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for an acquisition time that a delivery does not state; always with a warning."""
UNKNOWN_MISSION = "unknown"
"""Mission and sensor of an image that states neither: it can be orthorectified, but not become a product."""


@runtime_checkable
class SceneReader(Protocol):
    """Understands one package format.

    An implementation proves itself by subclassing ``processing.testing.contracts.SceneReaderContract``.
    """

    @property
    def format(self) -> str:
        """Name of the format, as ``DeliveryProfile.format`` and ``Delivery.format`` use it."""
        ...

    def claims(self, files: PackageFiles) -> bool:
        """Whether a package looks like this format, by its files' names and first bytes. Never raises BadInput."""
        ...

    def read(self, files: PackageFiles, sensors: Mapping[str, SensorConfig], *, pixels: bool) -> Delivery:
        """The package, understood; no pixel is decoded.

        Parameters
        ----------
        files
            The package.
        sensors
            Known sensors, by id.
        pixels
            Whether to attach lazy pixels; without, only metadata files are opened.

        Raises
        ------
        BadInput
            For anything wrong with the package, saying what, where and what to do.
        """
        ...


def one_scene(files: PackageFiles, format_name: str, scene: Scene, described_by: Path) -> Delivery:
    """A delivery that is one scene.

    Parameters
    ----------
    files
        The package.
    format_name
        Of the reader.
    scene
        Understood; its identifier is the delivery's.
    described_by
        The file the reader relied on, absolute.
    """
    return Delivery(
        package=files.package,
        root=files.root,
        delivery_id=scene.scene_id,
        format=format_name,
        scenes=(scene,),
        files=(described_by,),
    )

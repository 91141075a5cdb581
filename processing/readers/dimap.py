"""DIMAP v2 packages: Pleiades, Pleiades Neo, SPOT 6/7, PeruSat-1, KazEOSat-1."""

from collections.abc import Mapping
from pathlib import Path

from configs.schema import SensorConfig
from processing.model.errors import BadInput
from processing.model.scene import Delivery, Scene
from processing.readers.dimap_rigorous import with_rigorous
from processing.readers.dimap_scene import image_sets, product_scene
from processing.readers.dimap_xml import XmlNode, read_xml, root_tag
from processing.readers.image_files import missing_pixels, open_image
from processing.readers.package import PackageFiles

MAX_GAP_S = 1.0
"""Panchromatic and multispectral images of one acquisition are centred within this time."""


class DimapReader:
    """Reads every product document of a DIMAP v2 package; one Scene each, sharing a delivery id."""

    format = "dimap-v2"

    def claims(self, files: PackageFiles) -> bool:
        """Whether some document is a DIMAP document of version 2 or later, other than a bare RPC."""
        return any(_is_dimap(path, b'version="2', b'version="3') for path in files.ending(".xml"))

    def read(self, files: PackageFiles, sensors: Mapping[str, SensorConfig], *, pixels: bool) -> Delivery:
        """The package, understood; see :class:`processing.readers.protocol.SceneReader`."""
        documents = product_documents(files)
        if not documents:
            raise BadInput(
                f"'{files.package.name}' holds DIMAP documents, but none describes an image",
                kind="package.incomplete",
                where=files.package.name,
                remedy="The product document (DIM_*.XML) is missing: transfer the package again.",
            )
        scenes = [_scene(document, path, files, sensors, pixels) for path, document in documents]
        check_one_acquisition(scenes, files.package.name)
        return Delivery(
            package=files.package,
            root=files.root,
            delivery_id=scenes[0].scene_id,
            format=self.format,
            scenes=tuple(scenes),
            files=tuple(path for path, _ in documents),
        )


def product_documents(files: PackageFiles) -> list[tuple[Path, XmlNode]]:
    """The documents that describe an image, by path; lineage, volume and RPC documents are not among them."""
    found = []
    for path in files.ending(".xml"):
        if "LINEAGE" in path.parts or not _is_dimap(path, b'version="2', b'version="3'):
            continue
        document = read_xml(path)
        if document.find("Raster_Data/Raster_Dimensions") is not None:
            found.append((path, document))
    return found


def _is_dimap(path: Path, *versions: bytes) -> bool:
    if root_tag(path) != "Dimap_Document":
        return False
    with path.open("rb") as file:
        head = file.read(4096).replace(b"\0", b"")
    _, _, after = head.partition(b"<METADATA_FORMAT")
    bare_rpc = b"<METADATA_SUBPROFILE>RPC<" in head
    return not bare_rpc and any(version in after.partition(b">")[0] for version in versions)


def _scene(
    document: XmlNode, path: Path, files: PackageFiles, sensors: Mapping[str, SensorConfig], pixels: bool
) -> Scene:
    scene = with_rigorous(product_scene(document, path, files.root, sensors), document)
    sets = image_sets(document, files.root, path.parent)
    no_pixels = missing_pixels(sets)
    if no_pixels is None and sum(files_of.bands for files_of in sets) != len(scene.bands):
        raise BadInput(
            f"the image files hold {sum(files_of.bands for files_of in sets)} bands, {len(scene.bands)} are described",
            kind="bands",
            where=path.name,
        )
    scene = scene.but(no_pixels=no_pixels)
    return scene.but(source=open_image(sets, shape=scene.shape)) if pixels and no_pixels is None else scene


def check_one_acquisition(scenes: list[Scene], package: str) -> None:
    """Refuse a package that mixes sensors or acquisitions.

    Raises
    ------
    BadInput
        ``package.mixed``.
    """
    first = scenes[0]
    for scene in scenes[1:]:
        gap = abs((scene.acquired - first.acquired).total_seconds())
        if scene.sensor != first.sensor or scene.scene_id != first.scene_id or gap > MAX_GAP_S:
            raise BadInput(
                f"'{package}' mixes {first.sensor} '{first.scene_id}' of {first.acquired:%Y-%m-%dT%H:%M:%S.%f} with "
                f"{scene.sensor} '{scene.scene_id}' of {scene.acquired:%Y-%m-%dT%H:%M:%S.%f}",
                kind="package.mixed",
                where=package,
                remedy="Deliver each acquisition in a package of its own.",
            )
    groups = [scene.group for scene in scenes]
    if len(set(groups)) != len(groups):
        raise BadInput(
            f"'{package}' holds several {first.sensor} images of one kind: {groups}",
            kind="package.mixed",
            where=package,
            remedy="Deliver each image in a package of its own.",
        )

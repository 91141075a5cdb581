"""A delivered package and the scenes in it."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import numpy.typing as npt
from affine import Affine

from configs.schema import RadianceRule
from processing.model.calibration import Calibration
from processing.model.levels import Level, Quantity
from processing.model.sensor_model import SensorModel

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, slots=True, kw_only=True)
class BandCalibration:
    """How one band's counts become radiance, as its delivery states it."""

    rule: RadianceRule
    gain: float
    bias: float = 0.0
    """W m-2 sr-1 um-1."""
    esun: float | None = None
    """Band solar irradiance at 1 AU, W m-2 um-1."""
    esun_source: str | None = None
    """``file`` or ``config``."""
    calibrated_on: str | None = None
    """Date of the calibration, ISO 8601, as the delivery states it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One band of a scene."""

    name: str
    """Ours: blue, green, red, red_edge, nir, pan, ..."""
    label: str
    """The delivery's: B0, PAN, ..."""
    common_name: str | None = None
    centre_nm: float | None = None
    fwhm_nm: float | None = None
    calibration: BandCalibration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Angles:
    """Scene-centre angles, degrees. Azimuths clockwise from north, from the target towards sun or satellite."""

    sun_zenith_deg: float | None = None
    sun_azimuth_deg: float | None = None
    view_zenith_deg: float | None = None
    view_azimuth_deg: float | None = None
    off_nadir_deg: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MapGrid:
    """Georeference of an image that is on a map already."""

    crs: str
    transform: Affine


class PixelSource(Protocol):
    """Pixels by window, for a task that knows which it needs: a numpy array is one.

    Small to pickle where tasks go to other processes, and with the same Dask token in every process.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Bands, lines, samples."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        ...

    def __getitem__(self, index: tuple[slice, slice, slice], /) -> npt.NDArray[Any]:
        """The pixels of a range of bands, lines and samples."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One acquisition by one detector array: bands on one sampling grid, in the sensor's geometry.

    ``source`` gives the delivered counts by window; None when the package holds no pixels, and then ``no_pixels`` says
    why.
    """

    scene_id: str
    """The delivery's own identifier of the acquisition."""
    mission: str
    sensor: str
    group: str
    """Key of the sensor's band group: ``ms``, ``pan``."""
    level: Level
    acquired: datetime
    """UTC, at the scene's centre."""
    bands: tuple[Band, ...]
    """In the order of the pixels' band axis."""
    shape: tuple[int, int]
    """Lines, samples."""
    angles: Angles
    footprint: tuple[tuple[float, float], ...]
    """Ring of (lon, lat) as the delivery states it, unclosed; empty when it states none."""
    model: SensorModel | None = None
    """What the scene is processed with unless told otherwise: the delivered RPC, where there is one."""
    rigorous: SensorModel | None = None
    """The camera from orbit, attitude and look angles, where the delivery states what it needs."""
    map_grid: MapGrid | None = None
    nodata: int | None = 0
    saturated: int | None = None
    quantity: Quantity = Quantity.DN
    source: PixelSource | None = field(default=None, compare=False)
    """The delivered counts by window, whatever has been calibrated since."""
    calibration: Calibration | None = None
    """What turns counts into the scene's quantity; None before calibration."""
    no_pixels: str | None = None
    profile: str = ""
    """Metadata profile the figures were understood by."""
    platform_facts: dict[str, str | float | int] = field(default_factory=dict)
    """Further facts the delivery states: orbit number, orbit direction, processing software, ..."""
    warnings: tuple[str, ...] = ()
    """What a careful reader should know: an assumption made, a figure missing."""

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands, in order."""
        return tuple(band.name for band in self.bands)

    @property
    def pixels(self) -> "xr.DataArray | None":
        """The pixels as a lazy array, dims ``(band, line, sample)``; None where there are none.

        Counts as delivered; after calibration float32 in the scene's quantity, NaN where nodata.
        """
        if self.source is None:
            return None
        # Imported where it is used: the fused stage reads the source, and starts a second sooner without.
        from processing.model.lazy import counts_array, values_array

        if self.calibration is None:
            return counts_array(self.source, self.band_names)
        return values_array(self.source, self.band_names, self.calibration, self.quantity)

    def but(self, **changes: object) -> Self:
        """A copy with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredFile:
    """One file of a package."""

    path: str
    """Relative to the package's root, with forward slashes."""
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivered package, understood."""

    package: Path
    """What was handed in: folder, archive or file."""
    root: Path
    """The folder its files lie in (the package itself, or where it was unpacked)."""
    delivery_id: str
    """Identifier shared by all scenes of the acquisition."""
    format: str
    """Name of the reader that understood it."""
    scenes: tuple[Scene, ...]
    files: tuple[Path, ...] = ()
    """Files the reader relied on, absolute, inside ``root``."""

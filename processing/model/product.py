"""An archived product: a record about pixels that are safe on disk. It holds none itself."""

import hashlib
import re
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from processing.model.lineage import Lineage


class StoredBand(BaseModel):
    """One array of the product, as stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    group: str
    """Measurement group: ``reflectance``, ``pan``, ``index``."""
    common_name: str | None = None
    centre_nm: float | None = None
    fwhm_nm: float | None = None
    esun: float | None = None
    dtype: str
    scale: float
    offset: float
    nodata: int
    units: str
    valid_percent: float
    """Share of the product's footprint pixels that hold a value, percent."""
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    stddev: float | None = None
    """Statistics of the valid pixels, physical units."""

    @property
    def encoding(self) -> "Encoding":
        """How its values are kept."""
        return Encoding(
            title=self.title, dtype=self.dtype, scale=self.scale, offset=self.offset, nodata=self.nodata,
            units=self.units,
        )  # fmt: skip


class StoredGroup(BaseModel):
    """The grid that a measurement group's arrays share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    path: str
    """Path of the full-resolution level inside the Zarr store, e.g. ``measurements/reflectance/r4m``."""
    resolution_m: float
    crs: str
    """``EPSG:n``."""
    transform: tuple[float, float, float, float, float, float]
    """Affine a, b, c, d, e, f (STAC proj:transform order): pixel (column, row) corners to map metres."""
    shape: tuple[int, int]
    """Rows, columns."""
    levels: tuple[str, ...] = ()
    """Names of all levels, finest first."""


class StoredFile(BaseModel):
    """One file a customer may get."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    """Asset key: a band's name, ``visual``, ``thumbnail``, ``quality``, ``zarr``."""
    href: str
    """Path relative to HOME, forward slashes."""
    media_type: str
    roles: tuple[str, ...]
    title: str
    size: int
    sha256: str


class Product(BaseModel):
    """What is known about one archived product: the catalogue item is made from this, and from nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    collection: str
    mission: str
    sensor: str
    recipe: str
    level: str
    acquired: AwareDatetime
    created: AwareDatetime
    revision: str
    """First 16 hex digits of the lineage's digest."""
    geometry: dict[str, Any]
    """GeoJSON polygon of the valid pixels, lon, lat."""
    bbox: tuple[float, float, float, float]
    groups: tuple[StoredGroup, ...]
    bands: tuple[StoredBand, ...]
    files: tuple[StoredFile, ...]
    archive_href: str
    """The immutable Zarr store, relative to HOME."""
    manifest_sha256: str
    """SHA-256 of the store's manifest.json: it covers every byte of the product."""
    manifest_size: int
    angles: dict[str, float]
    """sun_zenith_deg, sun_azimuth_deg, view_zenith_deg, view_azimuth_deg, off_nadir_deg; those that are known."""
    facts: dict[str, str | float | int] = Field(default_factory=dict)
    """Orbit and vendor facts: absolute_orbit, orbit_state, scene_id, product_type, ..."""
    gsd_m: float
    """Finest ground sampling distance among all inputs, m."""
    accuracy: dict[str, float] = Field(default_factory=dict)
    """ce90_m, rmse_m, bias_x_m, ... where measured or stated."""
    quality: dict[str, Any] = Field(default_factory=dict)
    """Percentages by QA bit, verdict, warnings."""
    parents: tuple[str, ...] = ()
    """``collection/id`` of the items it derives from."""
    lineage: Lineage


_UNSAFE = re.compile(r"[^A-Za-z0-9]+")


def item_id(code: str, acquired: datetime, delivery_id: str, suffix: str) -> str:
    """Stable item id: mission code, time, a digest of the delivery's own identifier, and the product.

    The same delivery gives the same id on every run and machine; nothing of an untrusted identifier but its
    digest enters file names.
    """
    digest = hashlib.sha256(delivery_id.encode()).hexdigest()[:8]
    return f"{code}_{acquired:%Y%m%dT%H%M%S}_{digest}_{_UNSAFE.sub('-', suffix).upper()}"


class Encoding(BaseModel):
    """How a physical value is kept as an integer: value = stored * scale + offset; ``nodata`` is the absent value.

    ``float32`` keeps the value itself, and NaN where there is none; the figures then mean nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    dtype: str
    scale: float
    offset: float
    nodata: int
    units: str = "1"


class Attachment(BaseModel):
    """A small finished file that a product carries besides its pixels: a report, a picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Of the file; its stem is the asset's key."""
    content: bytes
    media_type: str
    roles: tuple[str, ...] = ("metadata",)
    title: str


class ProductDraft(BaseModel):
    """All that is known of a product before its pixels are computed and archived."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    collection: str
    mission: str
    sensor: str
    recipe: str
    level: str
    acquired: AwareDatetime
    encodings: dict[str, Encoding]
    """By band name."""
    angles: dict[str, float]
    facts: dict[str, str | float | int] = Field(default_factory=dict)
    gsd_m: float
    accuracy: dict[str, float] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    registration: dict[str, Any] = Field(default_factory=dict)
    """What the sensor models say of how the groups' sampling grids lie to each other."""
    registration_limit_px: float | None = None
    """Bands farther apart than this are warned of, px of the product's multispectral grid."""
    refinement: dict[str, Any] = Field(default_factory=dict)
    """How the groups' sensor models were corrected, for the quality report."""
    composition: dict[str, Any] = Field(default_factory=dict)
    """What a composite's inputs gave to it, for the quality report."""
    attachments: tuple[Attachment, ...] = ()
    parents: tuple[str, ...] = ()
    visual: tuple[str, ...] = ()
    """Band names of the picture for people: three (red, green, blue) or one."""
    visual_range: tuple[float, float] = (0.0, 0.3)
    """Physical values shown as black and white."""
    palette: str | None = None
    """Name of the colour table of a one-band picture."""
    created: AwareDatetime | None = None
    """When an earlier making of it ended, where it is made again to be compared; None: the time it will be."""
    lineage: Lineage

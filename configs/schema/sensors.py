"""A sensor: its bands, its grids, and how its delivery files are to be understood."""

from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from configs.schema.bands import BandConfig, GroupConfig
from configs.schema.values import BandName, Identifier, Value


class RadianceRule(StrEnum):
    """What GAIN means. The same tag means opposite things in different products: decide per profile, never per tag."""

    DIVIDE = "dn/gain+bias"
    MULTIPLY = "dn*gain+bias"


class AzimuthMeaning(StrEnum):
    """What a DIMAP document's AZIMUTH_ANGLE is: producers differ."""

    SATELLITE = "satellite"
    """From the target towards the satellite, clockwise from north."""
    IMAGE = "image"
    """Direction in which the image's lines follow one another; incidence along and across track add to it."""


class DeliveryProfile(Value):
    """How packages of one delivery profile are recognised, and what their figures mean."""

    format: str = Field(description="name of the reader: dimap-v2, dimap-v1, geotiff-rpc, sentinel-2")
    profiles: tuple[str, ...] = Field(default=("*",), description="METADATA_PROFILE patterns (shell wildcards)")
    missions: tuple[str, ...] = Field(
        default=("*",), description="patterns of MISSION + MISSION_INDEX as the file writes them, e.g. 'PHR 1A'"
    )
    radiance: RadianceRule | None = Field(default=None, description="None: the product carries no radiance scale")
    gain: float | None = Field(default=None, description="overrides the file's gain where the file is known wrong")
    band_order: tuple[BandName, ...] | None = Field(
        default=None, description="order of the bands in the pixel file where the metadata states it wrongly or not"
    )
    azimuth_angle: AzimuthMeaning = Field(
        default=AzimuthMeaning.SATELLITE, description="what AZIMUTH_ANGLE of a DIMAP v2 document means"
    )
    source: str = Field(description="where the meaning was read")


class SensorConfig(Value):
    """One instrument on one mission."""

    id: Identifier
    mission: Identifier
    title: str
    instrument: str
    bands: dict[BandName, BandConfig]
    groups: dict[BandName, GroupConfig]
    bits: PositiveInt = Field(le=16, description="radiometric depth of the raw counts")
    nodata: int | None = 0
    saturated: int | None = None
    registration_limit_px: PositiveFloat = Field(
        default=0.5, description="products whose bands lie farther apart are warned of; px of the multispectral grid"
    )
    deliveries: tuple[DeliveryProfile, ...] = ()

    @model_validator(mode="after")
    def _groups_name_known_bands(self) -> Self:
        for group, config in self.groups.items():
            unknown = [band for band in config.bands if band not in self.bands]
            if unknown:
                raise ValueError(f"group {group} names unknown bands {unknown}; known: {sorted(self.bands)}")
        return self

    @model_validator(mode="after")
    def _orders_name_known_bands(self) -> Self:
        for delivery in self.deliveries:
            order = delivery.band_order or ()
            unknown = [band for band in order if band not in self.bands]
            if unknown or len(set(order)) != len(order):
                raise ValueError(f"band_order {order} names unknown or repeated bands; known: {sorted(self.bands)}")
        return self

    def profile(self, format_name: str, metadata_profile: str, mission: str) -> DeliveryProfile | None:
        """The delivery profile that claims a package, or None."""
        for delivery in self.deliveries:
            if (
                delivery.format == format_name
                and any(fnmatchcase(metadata_profile.upper(), pattern.upper()) for pattern in delivery.profiles)
                and any(fnmatchcase(mission.upper(), pattern.upper()) for pattern in delivery.missions)
            ):
                return delivery
        return None

    def band_by_label(self, label: str) -> str | None:
        """Our band name for a delivery file's band label (case-insensitive), or None."""
        for name, band in self.bands.items():
            if label.upper() in (candidate.upper() for candidate in band.labels):
                return name
        return None

"""Spectral bands and the groups of bands that share one sampling grid."""

from typing import Self

from pydantic import Field, PositiveFloat, model_validator

from configs.schema.values import BandName, Value


class BandConfig(Value):
    """One spectral band of a sensor."""

    common_name: str | None = Field(default=None, description="STAC eo:common_name, where one applies")
    edges_nm: tuple[PositiveFloat, PositiveFloat] = Field(description="half-power wavelengths, nm")
    labels: tuple[str, ...] = Field(description="what delivery files call this band")
    esun: PositiveFloat | None = Field(
        default=None, description="band solar irradiance, W m-2 um-1, used only when the delivery states none"
    )

    @model_validator(mode="after")
    def _edges_rise(self) -> Self:
        if self.edges_nm[0] >= self.edges_nm[1]:
            raise ValueError(f"edges_nm must rise, got {self.edges_nm}")
        return self

    @property
    def centre_nm(self) -> float:
        """Centre wavelength, nm."""
        return (self.edges_nm[0] + self.edges_nm[1]) / 2

    @property
    def fwhm_nm(self) -> float:
        """Full width at half maximum, nm."""
        return self.edges_nm[1] - self.edges_nm[0]


class GroupConfig(Value):
    """Bands that one detector array samples on one grid: the multispectral bands, or the panchromatic one."""

    bands: tuple[BandName, ...] = Field(min_length=1)
    gsd_m: PositiveFloat = Field(description="ground sampling distance at nadir, m")
    resolution_m: PositiveFloat = Field(description="pixel size of the orthorectified product, m")
    measurement: BandName = Field(
        default="reflectance", description="name of the product's measurement group these bands are stored in"
    )

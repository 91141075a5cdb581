"""A receiving station: where its antenna stands, what it sees of the sky, and which missions it receives."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from configs.schema.values import Identifier, Texts, Value

Elevation = Annotated[float, Field(ge=0, lt=90)]


class MaskPoint(Value):
    """The skyline in one direction: nothing is received below it."""

    azimuth_deg: float = Field(ge=0, lt=360, description="clockwise from north")
    elevation_deg: Elevation


class StationConfig(Value):
    """One antenna. Elevations are geometric: without refraction, against the ellipsoid's tangent plane."""

    id: Identifier
    title: Texts = Field(description="title per language: kk, ru, en")
    lon: float = Field(ge=-180, le=180, description="degrees WGS 84")
    lat: float = Field(ge=-90, le=90, description="degrees WGS 84")
    height_m: float = Field(ge=-500, le=9000, description="above the ellipsoid, not above the sea")
    min_elevation_deg: Elevation = 5.0
    mask: tuple[MaskPoint, ...] = Field(
        default=(), description="skyline, by ascending azimuth; straight lines between its points, closed through north"
    )
    missions: tuple[Identifier, ...] = Field(
        default=(),
        description="missions received here: their passes are planned. None: predictions only when asked for",
    )

    @model_validator(mode="after")
    def _mask_goes_round_once(self) -> Self:
        azimuths = [point.azimuth_deg for point in self.mask]
        if azimuths != sorted(set(azimuths)):
            raise ValueError("the mask's azimuths must ascend and not repeat")
        return self

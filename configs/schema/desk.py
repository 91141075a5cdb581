"""What is not processed, and which products wait for an operator before they are catalogued."""

from typing import Annotated

from pydantic import Field

from configs.schema.values import Identifier, Value

Percent = Annotated[float, Field(ge=0, le=100)]
Positive = Annotated[float, Field(gt=0)]


class ReviewLimits(Value):
    """A product beyond any of these waits at the desk; ``null``: not looked at."""

    ce90_m: Positive | None = Field(default=None, description="circular error (90 %) against references, m")
    ce90_gsd: Positive | None = Field(default=None, description="the same, in ground sampling distances")
    band_offset_px: Positive | None = Field(
        default=None, description="largest displacement of a band, px of the multispectral grid"
    )
    valid_percent: Percent | None = Field(
        default=None, description="least part of the footprint that must hold values, in the worst band"
    )
    cloud_percent: Percent | None = Field(
        default=None,
        description="most cloud, as tested pixel by pixel; where that was not done, as the delivery states",
    )
    unrefined: bool | None = Field(
        default=None, description="whether a scene waits that references were there for and could not be matched to"
    )
    warnings: tuple[str, ...] | None = Field(
        default=None, description="codes or beginnings of warnings in the quality record that make it wait"
    )

    def over(self, other: "ReviewLimits") -> "ReviewLimits":
        """These limits, and those of another where these say nothing."""
        return other.model_copy(update={key: value for key, value in self if key in self.model_fields_set})


class DeskConfig(Value):
    """The rules of one installation's quality desk."""

    low_sun_deg: Annotated[float, Field(ge=0, lt=90)] = Field(
        default=5, description="scenes with the sun lower than this are not processed"
    )
    all_cloud_percent: Percent | None = Field(
        default=98, description="scenes whose delivery states as much cloud are not processed; null: all are"
    )
    sea_only: bool = Field(
        default=False, description="whether scenes are left out beneath which elevations show nothing but water"
    )
    review: ReviewLimits = ReviewLimits()
    missions: dict[Identifier, ReviewLimits] = Field(default_factory=dict, description="other limits, by mission")
    recipes: dict[Identifier, ReviewLimits] = Field(
        default_factory=dict, description="other limits, by recipe; they come before those of the mission"
    )

    def limits(self, mission: str, recipe: str) -> ReviewLimits:
        """What holds for products of a mission and recipe."""
        nothing = ReviewLimits()
        by_mission = self.missions.get(mission, nothing).over(self.review)
        return self.recipes.get(recipe, nothing).over(by_mission)

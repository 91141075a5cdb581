"""Recipes: a product as data. A recipe names stages from a fixed table and drives flow, archive, catalogue and docs."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from configs.schema.values import BandName, Days, Identifier, Texts, Value

Level = Literal["l1c", "l2a", "derived"]


class OutputBand(Value):
    """One array of a product, and how its physical value is stored as an integer."""

    name: BandName
    title: str
    units: str = "1"
    expression: str | None = Field(default=None, description="arithmetic over the inputs' band names; derived only")
    dtype: Literal["uint16", "int16", "uint8"] = "int16"
    scale: PositiveFloat = 1e-4
    offset: float = 0.0
    nodata: int = -32768
    valid_range: tuple[float, float] = Field(description="physical values outside are clipped and flagged")


class RenderPreset(Value):
    """How a person looks at the product: which bands, stretched between which physical values, in which palette."""

    title: str
    titles: Texts = Field(default_factory=dict, description="title in other languages")
    bands: tuple[BandName, ...] = Field(min_length=1, max_length=3)
    rescale: tuple[float, float]
    palette: str | None = None


class RecipeConfig(Value):
    """One product: what it is made from, by which stages, and what it holds."""

    id: Identifier
    title: dict[str, str]
    description: str
    descriptions: Texts = Field(default_factory=dict, description="description in other languages")
    level: Level
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    stages: tuple[Literal["calibrate", "orthorectify", "expression", "composite"], ...] = Field(min_length=1)
    inputs: tuple[BandName, ...] = Field(
        default=(), description="bands a derived product needs of its parent; a composite takes those of its parents"
    )
    parent: Literal["l1c", "l2a"] | None = Field(default=None, description="level of the product it derives from")
    resampling: Literal["nearest", "bilinear", "cubic", "lanczos"] = "cubic"
    angles: bool = Field(default=False, description="view and sun angles of every pixel as a group of their own")
    outputs: tuple[OutputBand, ...] = Field(default=(), description="empty: the sensor's own bands")
    renders: dict[Identifier, RenderPreset] = Field(default_factory=dict)
    collection_suffix: Identifier
    keep_superseded_days: Days | None = Field(
        default=None,
        description="earlier revisions may go so many days after a newer one took their place; left out: as "
        "keeping.yaml says",
    )

    @model_validator(mode="after")
    def _derived_states_its_parent(self) -> Self:
        if (self.level == "derived") != (self.parent is not None):
            raise ValueError("a derived recipe, and only a derived one, names its parent level")
        if self.is_composite:
            if self.level != "derived" or len(self.stages) > 1 or self.inputs or self.outputs:
                raise ValueError("a composite is derived by that one stage, and keeps the bands of its parents")
        elif self.level == "derived" and not (self.inputs and self.outputs):
            raise ValueError("a derived recipe names its inputs and outputs")
        return self

    @property
    def is_composite(self) -> bool:
        """Whether a product is made of several others, not of one."""
        return "composite" in self.stages

    def collection(self, mission: str) -> str:
        """Id of the collection its items go to."""
        return f"{mission}-{self.collection_suffix}"

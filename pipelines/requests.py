"""What is asked of a flow: one typed model each, from which Prefect makes the form an operator fills in."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

EVERY_RECIPE = "all"


class VerticalDatumChoice(StrEnum):
    """What the heights of a DEM count from."""

    AUTO = "auto"
    ELLIPSOID = "ellipsoid"
    EGM96 = "egm96"
    EGM2008 = "egm2008"


class Request(BaseModel):
    """What every request says: where the installation is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: str = Field(default="", title="Installation", description="Folder of the installation. Empty: $QYRAN_HOME")

    @property
    def home_path(self) -> Path | None:
        """The folder, or None for the one of the surroundings."""
        return Path(self.home) if self.home else None


class SceneRequest(Request):
    """Process one delivered package to catalogued products."""

    package: str = Field(description="Path of the delivered package: a folder, .zip, .tar, .tif or .jp2", min_length=1)
    dem: str = Field(
        default="",
        title="Elevation model",
        description="DEM file or folder of DEM files. Empty: HOME/auxiliary/dem",
    )
    vertical_datum: VerticalDatumChoice = Field(
        default=VerticalDatumChoice.AUTO,
        description="What the DEM's heights count from. auto: as the files state it; unstated is refused",
    )
    recipe: str = Field(default="l1c", description="Recipe of the product made from the package itself")
    derive: list[str] = Field(
        default_factory=list,
        description="Recipes of products to derive from it afterwards, e.g. ndvi; 'all': every one whose bands it has",
    )

    first_line: int | None = Field(
        default=None,
        ge=1,
        description="First line of a segment, from 1, in lines of the multispectral image; the panchromatic one is "
        "cut to the same ground. Empty: the whole image",
    )
    lines: int | None = Field(default=None, ge=1, description="Number of lines of the segment")
    keep_inputs: bool = Field(
        default=True,
        description="Keep a copy of the package and of the elevation tiles in HOME/inputs, so that the product can "
        "be made again when the originals are gone",
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.first_line is None) != (self.lines is None):
            raise ValueError("a segment is its first line and its number of lines: give both")
        return self


class ProductRequest(Request):
    """Derive one product from a catalogued one."""

    item: str = Field(description="COLLECTION/ID of the parent, or its ID alone where that is unique", min_length=1)
    recipe: str = Field(default="ndvi", description="Recipe of the product to derive")


class Verdict(StrEnum):
    """What an operator decides of a product that waits."""

    ACCEPT = "accept"
    REJECT = "reject"


class DecisionRequest(Request):
    """Accept or reject a product that waits at the quality desk."""

    item: str = Field(
        description="COLLECTION/ID of the product that waits, or its ID alone; `qyran desk list` names them",
        min_length=1,
    )
    verdict: Verdict = Field(
        default=Verdict.ACCEPT, description="accept: publish and catalogue it. reject: delete it, and keep its package"
    )
    reason: str = Field(description="Why: it stays with the item", min_length=3, max_length=500)
    by: str = Field(description="Your name: it stays with the item", min_length=2, max_length=100)


class ReprocessRequest(Request):
    """Process catalogued items again, with the recipe, elevation model, configuration and software of today."""

    items: list[str] = Field(
        default_factory=list,
        description="Items: COLLECTION/ID, or ID alone where that is unique. Empty: by what follows",
    )
    collection: str = Field(default="", description="All items of this collection")
    recipe: str = Field(default="", description="All items made by this recipe")
    stale: bool = Field(default=False, description="Only items that derive from a superseded version of another")
    package: str = Field(
        default="",
        description="The delivered package, for one item. Empty: as kept in HOME/inputs when it was processed",
    )
    dem: str = Field(
        default="",
        description="DEM file or folder. Empty: HOME/auxiliary/dem, or the tiles of the first time where that has none",
    )
    vertical_datum: VerticalDatumChoice | None = Field(
        default=None, description="What the DEM's heights count from. Empty: as it was said the first time"
    )
    derive: bool = Field(
        default=True, description="Derive again what was derived from them. Otherwise that is marked stale"
    )

    @model_validator(mode="after")
    def _one_package_one_item(self) -> Self:
        if self.package and len(self.items) != 1:
            raise ValueError("a package belongs to one item: name that one")
        return self


class WatchRequest(Request):
    """Look into the landing zone once, by the rules of HOME/configs/landing.yaml."""


class MayGo(StrEnum):
    """Kinds of things that may go by the rules of HOME/configs/keeping.yaml."""

    STAGING = "staging"
    TRASH = "trash"
    LANDING = "landing"
    QUARANTINE = "quarantine"
    ORPHAN = "orphan"
    SUPERSEDED = "superseded"
    INPUTS = "inputs"
    UNFINISHED = "unfinished"


class KeepRequest(Request):
    """What one run of ``keep-archive`` is to do."""

    share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Part of all bytes to hash again in this run, 0 to 1, those first that have waited longest. Empty: "
        "as HOME/configs/keeping.yaml says",
    )
    repair: bool = Field(
        default=False,
        description="Fetch what is lost or damaged from the second place, if it is whole there; describe again what "
        "the catalogue does not say",
    )
    clean: list[MayGo] = Field(
        default_factory=lambda: [MayGo.STAGING, MayGo.TRASH],
        description="What to let go by the rules of HOME/configs/keeping.yaml",
    )

"""What is asked of a flow: one typed model each, from which Prefect makes the form an operator fills in."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

EVERY_RECIPE = "all"


class VerticalDatumChoice(StrEnum):
    """What the heights of a DEM count from."""

    AUTO = "auto"
    ELLIPSOID = "ellipsoid"
    EGM96 = "egm96"
    EGM2008 = "egm2008"


class SceneRequest(BaseModel):
    """Process one delivered package to catalogued products."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: str = Field(description="Path of the delivered package: a folder, .zip, .tar, .tif or .jp2", min_length=1)
    home: str = Field(default="", description="Folder of the installation. Empty: $QYRAN_HOME")
    dem: str = Field(default="", description="DEM file or folder of DEM files. Empty: HOME/auxiliary/dem")
    vertical_datum: VerticalDatumChoice = Field(
        default=VerticalDatumChoice.AUTO,
        description="What the DEM's heights count from. auto: as the files state it; unstated is refused",
    )
    recipe: str = Field(default="l1c", description="Recipe of the product made from the package itself")
    derive: list[str] = Field(
        default_factory=list,
        description="Recipes of products to derive from it afterwards, e.g. ndvi; 'all': every one whose bands it has",
    )


class ProductRequest(BaseModel):
    """Derive one product from a catalogued one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: str = Field(description="COLLECTION/ID of the parent, or its ID alone where that is unique", min_length=1)
    recipe: str = Field(default="ndvi", description="Recipe of the product to derive")
    home: str = Field(default="", description="Folder of the installation. Empty: $QYRAN_HOME")

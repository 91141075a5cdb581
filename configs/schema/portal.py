"""What an operator sets about the customers' page, in ``HOME/configs/portal.yaml``."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

type Degrees = tuple[
    Annotated[float, Field(ge=-180, le=180)], Annotated[float, Field(ge=-85, le=85)],
    Annotated[float, Field(ge=-180, le=180)], Annotated[float, Field(ge=-85, le=85)],
]  # fmt: skip


class PortalConfig(BaseModel):
    """Everything has a default: the file need not be there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str | None = Field(default=None, min_length=1, max_length=60)
    """What stands at the top; None: the catalogue's title."""
    language: Literal["kk", "ru", "en"] | None = None
    """For those whose browser asks for none of the three; None: English."""
    start: Degrees = (46.0, 40.0, 88.0, 56.0)
    """West, south, east, north of the first view, in degrees."""
    world_borders: bool = True
    """Whether the borders and names of countries that come with the program (Natural Earth) are drawn. An operator who
    must show others says no, and lays their own over."""
    overlays: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.(geojson|topojson|json)$")], ...] = ()
    """GeoJSON or TopoJSON files in ``HOME/configs/portal/``, drawn over the base map in this order: lines, areas, and
    the names of points (``name``, ``name:kk``, ``name:ru``, ``name:en``)."""
    contact: str | None = Field(default=None, min_length=3, max_length=120)
    """Whom customers write to: an address of mail, or a telephone number."""

    @field_validator("start")
    @classmethod
    def _some_extent(cls, start: Degrees) -> Degrees:
        west, south, east, north = start
        if west >= east or south >= north:
            raise ValueError("write west, south, east, north, with west < east and south < north")
        return start

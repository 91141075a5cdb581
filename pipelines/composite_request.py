"""What is asked of ``build-composite``: the form an operator fills in, and what of it makes a composite's identity."""

import json
from datetime import UTC, date, datetime, time
from typing import Any, Self

import shapely
from pydantic import Field, ValidationError, field_validator, model_validator
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from pipelines.requests import Request
from processing.model.errors import BadInput
from processing.products.composite import Method

_DECIMALS = 7
"""Of degrees, in an area: about 1 cm."""
_MOST_TEXT = 200_000


class CompositeRequest(Request):
    """Compose one image of an area from the clear observations of several catalogued items."""

    collection: str = Field(description="Collection of the items to compose, e.g. kazeosat-1-l1c", min_length=1)
    area: str = Field(
        description="West,South,East,North in degrees, or a GeoJSON polygon: the composite ends at its edge",
        min_length=1,
        max_length=_MOST_TEXT,
    )
    start: date = Field(title="First day", description="Of the items, UTC")
    end: date = Field(title="Last day", description="Of the items, UTC; it counts too")
    method: Method = Field(
        default=Method.MEDIAN,
        description="median: of each band, of all clear observations. latest: the last clear one. clearest: the least "
        "doubtful by its quality flags, then that seen most steeply, then the last",
    )
    max_cloud: float = Field(
        default=80.0,
        ge=0,
        le=100,
        title="Most cloud, %",
        description="Items that are known to have more cloud are left out. Cloud of the others is, where it is flagged",
    )
    min_observations: int = Field(
        default=1,
        ge=1,
        le=1000,
        title="Fewest observations",
        description="Pixels with fewer clear observations have no value",
    )
    group: str = Field(
        default="reflectance",
        title="Bands",
        description="Measurement group to compose: reflectance (multispectral), or pan",
        pattern=r"^[a-z][a-z0-9_]*$",
    )
    crs: str = Field(
        default="",
        title="Map",
        description="EPSG:n: only items on this map. Empty: all, which must then lie on one",
        pattern=r"^(EPSG:\d{4,6})?$",
    )
    recipe: str = Field(default="composite", description="Recipe of the composite")

    @field_validator("area")
    @classmethod
    def _one_area_one_text(cls, text: str) -> str:
        try:
            return json.dumps(json.loads(shapely.to_geojson(area_of(text))), separators=(",", ":"))
        except BadInput as error:
            raise ValueError(error.message) from error

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"the last day, {self.end}, lies before the first, {self.start}")
        return self

    @property
    def geometry(self) -> BaseGeometry:
        """The area: valid polygons, degrees of WGS 84, longitude first."""
        return shapely.from_geojson(self.area)

    @property
    def since(self) -> datetime:
        """The first moment, which a composite's id and place in the archive go by."""
        return datetime.combine(self.start, time.min, UTC)

    @property
    def interval(self) -> str:
        """As catalogues are asked."""
        last = datetime.combine(self.end, time.max, UTC)
        return "/".join(moment.isoformat().replace("+00:00", "Z") for moment in (self.since, last))

    @property
    def asked(self) -> dict[str, Any]:
        """All that was asked for, but where: what a lineage keeps, and an id is made of."""
        return self.model_dump(mode="json", exclude={"home"})


def composite_request(**asked: Any) -> CompositeRequest:
    """A request from what somebody typed.

    Raises
    ------
    BadInput
        ``composite.request`` naming all that is wrong with it.
    """
    try:
        return CompositeRequest.model_validate(asked)
    except ValidationError as error:
        faults = [
            ".".join(str(part) for part in fault["loc"]) + ": " + fault["msg"].removeprefix("Value error, ")
            for fault in error.errors()
        ]
        raise BadInput("; ".join(fault.removeprefix(": ") for fault in faults), kind="composite.request") from error


def area_of(text: str) -> BaseGeometry:
    """An area as it is typed: ``W,S,E,N``, or GeoJSON of polygons.

    Returns
    -------
    area
        Valid polygons in one canonical form, rounded to a centimetre.

    Raises
    ------
    BadInput
        ``composite.area``.
    """
    try:
        found = _of_geojson(json.loads(text)) if text.lstrip().startswith("{") else _of_bounds(text)
    except (ValueError, TypeError, KeyError, AttributeError, ShapelyError) as error:
        raise BadInput(f"the area cannot be read: {error}", kind="composite.area") from error
    rounded = shapely.normalize(shapely.make_valid(shapely.set_precision(shapely.force_2d(found), 10.0**-_DECIMALS)))
    if rounded.is_empty or rounded.geom_type not in ("Polygon", "MultiPolygon") or not rounded.is_valid:
        raise BadInput("the area encloses nothing", kind="composite.area")
    west, south, east, north = rounded.bounds
    if west < -180 or east > 180 or south < -90 or north > 90:
        raise BadInput("the area lies outside of -180 to 180, -90 to 90 degrees", kind="composite.area")
    return rounded


def _of_bounds(text: str) -> BaseGeometry:
    west, south, east, north = (float(part) for part in text.split(","))
    if not (west < east and south < north):
        raise ValueError("west must lie before east, and south below north; across the antimeridian, ask for two")
    return shapely.box(west, south, east, north)


def _of_geojson(value: dict[str, Any]) -> BaseGeometry:
    match value["type"]:
        case "FeatureCollection":
            return shapely.union_all([_of_geojson(feature) for feature in value["features"]])
        case "Feature":
            return _of_geojson(value["geometry"])
        case "Polygon" | "MultiPolygon":
            found = shapely.from_geojson(json.dumps(value))
            if not found.is_valid:
                raise ValueError(f"it is no valid polygon: {shapely.is_valid_reason(found)}")
            return found
        case other:
            raise ValueError(f"{other} is no polygon")

"""What a composite says of its pixels: how many observations each was made of, and when it was taken."""

from datetime import UTC, datetime

from processing.model.angle_layers import ANGLES, ROLES
from processing.model.product import Encoding

OBSERVATIONS = "observations"
"""Name of the measurement group, and its quantity."""
COUNT, DAY = "observations", "day"
BESIDE = frozenset({ANGLES, OBSERVATIONS})
"""Measurement groups that tell of an image's pixels and are no image."""

OBSERVED_FROM, OBSERVED_UNTIL = "observed_from", "observed_until"
"""Facts of a composite: the first and last acquisition that it was made of, RFC 3339."""
METHOD, ITEMS, COVERAGE = "composite_method", "composite_items", "composite_coverage_percent"
"""Facts of a composite: how it was made, of how many items, and how much of the area asked for has a value."""
UNSURE = "composite_ce90_unsure"
"""Fact of a composite of inputs of which some state an accuracy and some do not."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENCODINGS = {
    COUNT: Encoding(
        title="Clear observations that the pixel was made of", dtype="uint16", scale=1.0, offset=0.0, nodata=0
    ),
    # A mean of days is a day between them: coarser levels may average it, as they could not a number of an input.
    DAY: Encoding(
        title="Day on which the pixel was taken",
        dtype="uint16",
        scale=1.0,
        offset=0.0,
        nodata=0,
        units="days since 1970-01-01",
    ),
}
LAYERS = tuple(_ENCODINGS)
_ROLES = {COUNT: ("metadata", "observation-count"), DAY: ("metadata", "date")}


def encoding_of(layer: str) -> Encoding:
    """How a layer is stored."""
    return _ENCODINGS[layer]


def roles_of(layer: str) -> tuple[str, ...]:
    """Roles of the asset of a layer that lies beside an image, of its angles as of its observations."""
    return ROLES.get(layer) or _ROLES[layer]


def day_of(moment: datetime) -> int:
    """Days since 1970-01-01, UTC, as :data:`DAY` counts them."""
    return (moment - _EPOCH).days

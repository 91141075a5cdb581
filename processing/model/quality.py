"""Results that are not errors: what became of a scene."""

from enum import StrEnum


class Outcome(StrEnum):
    """What a run ended with. Held and rejected are results, not failures."""

    PUBLISHED = "published"
    HELD = "held"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"
    FAILED = "failed"

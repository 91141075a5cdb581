"""Results that are not errors: what became of a scene."""

from enum import StrEnum

MISREGISTERED = "registration.bands"
"""Code that the warning of bands too far apart begins with."""


class Outcome(StrEnum):
    """What a run ended with. Held and rejected are results, not failures."""

    PUBLISHED = "published"
    HELD = "held"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"
    FAILED = "failed"

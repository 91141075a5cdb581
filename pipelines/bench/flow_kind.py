"""Which scenes ``qyran bench flow`` has processed."""

from enum import StrEnum


class SceneKind(StrEnum):
    """Size of the scenes."""

    SMALL = "small"
    DEMO = "demo"

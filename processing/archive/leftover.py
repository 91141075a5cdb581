"""What is found of interrupted work."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """What an interrupted run left, and what became of it."""

    what: str
    """In plain words."""
    where: str
    """Relative to HOME."""
    done: Literal["finished", "cleared", "kept"]
    """``kept``: it is whole, and only its package can say what is to become of it."""

    def __str__(self) -> str:
        return f"{self.done}: {self.what} ({self.where})"

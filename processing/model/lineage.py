"""Where a product comes from: enough to make it again, byte for byte."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class InputRecord(BaseModel):
    """One thing that went in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str
    """``package``, ``dem``, ``geoid``, ``parent``."""
    name: str
    sha256: str


class Lineage(BaseModel):
    """Inputs, parameters and software of one product. Its digest is the product's revision and the cache key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    recipe_version: str
    inputs: tuple[InputRecord, ...]
    parameters: dict[str, Any]
    """Everything that decides a pixel: resampling, resolution, datum, refinement, ... JSON values only."""
    software: dict[str, str]
    """Name and version of what computed it."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the canonical JSON of this record."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def input_of(self, role: str) -> InputRecord | None:
        """The first input with a role, or None."""
        return next((record for record in self.inputs if record.role == role), None)

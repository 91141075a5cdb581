"""Where a product comes from: enough to make it again, byte for byte."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class InputRecord(BaseModel):
    """One thing that went in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str
    """``package``, ``dem``, ``geoid``, ``reference``, ``sensor``, ``mission``, ``recipe``, ``parent``."""
    name: str
    """The delivery's identifier, a file's name, a configuration's id; of a parent ``COLLECTION/ID@REVISION``."""
    sha256: str
    """Of a package: over the list of its files; of a parent: of its store's manifest."""


class Lineage(BaseModel):
    """Inputs, parameters and software of one product. Its digest is the product's revision and the cache key.

    Nothing in it depends on when, where or by whom a product was made: no clock, no host, no path.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    recipe_version: str
    inputs: tuple[InputRecord, ...]
    parameters: dict[str, Any]
    """Everything that decides a pixel: resampling, resolution, datum, refinement, ... JSON values only."""
    software: dict[str, str]
    """Name and version of what computed it; digests of our own code and of the lock file."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the canonical JSON of this record."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def input_of(self, role: str) -> InputRecord | None:
        """The first input with a role, or None."""
        return next(iter(self.inputs_of(role)), None)

    def inputs_of(self, role: str) -> tuple[InputRecord, ...]:
        """All inputs with a role, in their order."""
        return tuple(record for record in self.inputs if record.role == role)


class Change(BaseModel):
    """One respect in which two lineages differ."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["software", "recipe", "input", "parameter"]
    name: str
    was: str | None
    """None where it was not there."""
    now: str | None

    def __str__(self) -> str:
        was, now = (_brief(value) if value is not None else "none" for value in (self.was, self.now))
        return f"{self.kind} {self.name}: {was} -> {now}"


def changes(was: Lineage, now: Lineage) -> tuple[Change, ...]:
    """What changed from one lineage to another: software first, then recipe, inputs and parameters.

    Returns
    -------
    changes
        Empty if, and only if, both have the same digest.
    """
    recipes = [{"id": each.recipe, "version": each.recipe_version} for each in (was, now)]
    inputs = [_by_place(each.inputs) for each in (was, now)]
    found = [
        *_differing("software", was.software, now.software),
        *_differing("recipe", *recipes),
        *_differing("input", *inputs),
        *_differing("parameter", dict(_flat(was.parameters)), dict(_flat(now.parameters))),
    ]
    if not found and was.digest != now.digest:
        found = [Change(kind="input", name="order", was=None, now=None)]
    return tuple(found)


def _by_place(inputs: tuple[InputRecord, ...]) -> dict[str, str]:
    """Digests by role and name; of two inputs of one name the second is ``name (2)``."""
    found: dict[str, str] = {}
    for record in inputs:
        # A parent's revision is what its digest tells apart already: another one is a change, not another parent.
        name = f"{record.role} {record.name.partition('@')[0] if record.role == 'parent' else record.name}"
        again = sum(key == name or key.startswith(f"{name} (") for key in found)
        found[f"{name} ({again + 1})" if again else name] = record.sha256
    return found


def _differing(
    kind: Literal["software", "recipe", "input", "parameter"], was: Mapping[str, str], now: Mapping[str, str]
) -> Iterator[Change]:
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            yield Change(kind=kind, name=name, was=was.get(name), now=now.get(name))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", json.dumps(value, sort_keys=True, default=list)


def _brief(value: str) -> str:
    """A digest by its beginning, a long list by its ends."""
    if len(value) == 64 and all(letter in "0123456789abcdef" for letter in value):
        return value[:16]
    return value if len(value) <= 60 else f"{value[:40]}...{value[-15:]}"

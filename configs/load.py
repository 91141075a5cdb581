"""Reads YAML: safe types only, duplicate keys refused, unknown keys answered with the nearest known one."""

import difflib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError


class ConfigError(ValueError):
    """A configuration file is wrong: which, where, and what was probably meant."""


class _State(NamedTuple):
    """What tells one state of a file from any other."""

    device: int
    inode: int
    size: int
    changed_ns: int


_SETTLED_NS = 2_000_000_000
"""A file that was changed this recently may be changed again without its time, which moves in steps, showing it."""
_read: dict[tuple[Path, type[BaseModel]], tuple[_State, Any]] = {}


def read_config[Config: BaseModel](path: Path, schema: type[Config]) -> Config:
    """Read one YAML file as ``schema``; a file that has not changed since is not read twice by one process.

    Raises
    ------
    ConfigError
        If the file is not YAML, repeats a key, or does not satisfy the schema.
    """
    with path.open("rb") as stream:
        found = os.fstat(stream.fileno())
        state = _State(found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns)
        known = _read.get((path, schema))
        if known is not None and known[0] == state:
            return known[1]  # type: ignore[no-any-return]  # it was read as this schema
        config = _parsed(stream, path.name, schema)
    if time.time_ns() - state.changed_ns > _SETTLED_NS:
        _read[path, schema] = state, config
    return config


def _parsed[Config: BaseModel](stream: BinaryIO, name: str, schema: type[Config]) -> Config:
    try:
        # The stream, not its bytes: what is wrong is then told with the file's path.
        data = YAML(typ="safe").load(stream)
    except YAMLError as error:
        raise ConfigError(f"{name}: not readable as YAML: {error}") from error
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{name}: " + "; ".join(_explained(error, schema))) from error


def _explained(error: ValidationError, schema: type[BaseModel]) -> Iterator[str]:
    for fault in error.errors():
        place = ".".join(str(part) for part in fault["loc"])
        hint = ""
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(fault["loc"][-1]), _field_names(schema), n=1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
        yield f"{place}: {fault['msg']}{hint}"


def _field_names(schema: type[BaseModel], seen: frozenset[type[BaseModel]] = frozenset()) -> set[str]:
    """Every field name of a schema and of the models nested in it."""
    names = set(schema.model_fields)
    for field in schema.model_fields.values():
        for nested in _models_in(field.annotation):
            if nested not in seen:
                names |= _field_names(nested, seen | {schema})
    return names


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)

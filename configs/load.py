"""Reads YAML: safe types only, duplicate keys refused, unknown keys answered with the nearest known one."""

import difflib
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError


class ConfigError(ValueError):
    """A configuration file is wrong: which, where, and what was probably meant."""


def read_config[Config: BaseModel](path: Path, schema: type[Config]) -> Config:
    """Read one YAML file as ``schema``.

    Raises
    ------
    ConfigError
        If the file is not YAML, repeats a key, or does not satisfy the schema.
    """
    try:
        data = YAML(typ="safe").load(path)
    except YAMLError as error:
        raise ConfigError(f"{path.name}: not readable as YAML: {error}") from error
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{path.name}: " + "; ".join(_explained(error, schema))) from error


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

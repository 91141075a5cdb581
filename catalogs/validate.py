"""Validation against the STAC schemas, offline: core schemas from pystac, extensions from ``catalogs/schemas``."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match
from pystac import get_stac_version
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource, Unresolvable

from processing.model.errors import Defect

_CORE = "https://schemas.stacspec.org/v{version}/{kind}-spec/json-schema/{kind}.json"


def validate_item(item: Mapping[str, Any]) -> None:
    """Validate a STAC Item and every extension it declares.

    Raises
    ------
    Defect
        ``stac.invalid`` if it does not satisfy a schema; ``stac.schema_missing`` if it declares an extension whose
        schema is not here: what cannot be checked does not pass.
    """
    _validate(item, "item")


def validate_collection(collection: Mapping[str, Any]) -> None:
    """Validate a STAC Collection and every extension it declares; raises as :func:`validate_item` does."""
    _validate(collection, "collection")


def vendored_schemas() -> dict[str, dict[str, Any]]:
    """Extension schemas that ship with Qyran, by identifier."""
    found = {}
    for entry in sorted((files("catalogs") / "schemas").iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".json"):
            schema = json.loads(entry.read_text(encoding="utf-8"))
            found[str(schema["$id"]).removesuffix("#")] = schema
    return found


def _validate(document: Mapping[str, Any], kind: str) -> None:
    # Through JSON and back: a tuple is an array, and whatever JSON cannot say fails here.
    plain = json.loads(json.dumps(document, allow_nan=False))
    if plain.get("stac_version") != get_stac_version():
        raise _invalid(plain, f"stac_version is {plain.get('stac_version')}, not {get_stac_version()}")
    core = _CORE.format(version=get_stac_version(), kind=kind)
    for identifier in (core, *plain.get("stac_extensions", ())):
        try:
            error = best_match(_validator(identifier).iter_errors(plain))
        except Unresolvable as missing:
            raise _missing(str(missing.ref)) from missing
        if error is not None:
            place = "/".join(str(part) for part in error.absolute_path) or "the document"
            raise _invalid(plain, f"{place}: {error.message[:400]} (schema {identifier})")


@cache
def _schemas() -> dict[str, dict[str, Any]]:
    return {**get_local_schema_cache(), **vendored_schemas()}


@cache
def _validator(identifier: str) -> Draft7Validator:
    schema = _schemas().get(identifier)
    if schema is None:
        raise _missing(identifier)

    def retrieve(uri: str) -> NoReturn:
        raise NoSuchResource(ref=uri)  # type: ignore[call-arg]

    resources = [(uri, Resource.from_contents(content)) for uri, content in _schemas().items()]
    registry = Registry(retrieve=retrieve).with_resources(resources)  # type: ignore[call-arg]
    return Draft7Validator(schema, registry=registry)


def _invalid(document: Mapping[str, Any], message: str) -> Defect:
    return Defect(f"not valid STAC: {message}", kind="stac.invalid", where=str(document.get("id")))


def _missing(identifier: str) -> Defect:
    return Defect(
        f"there is no schema for {identifier}",
        kind="stac.schema_missing",
        remedy="Put it into catalogs/schemas, or do not declare the extension.",
    )

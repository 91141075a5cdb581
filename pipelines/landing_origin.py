"""Where a claimed package lay in a bucket, and clearing up there when its run is over."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from configs.settings import Home
from pipelines.object_places import object_place
from pipelines.outcomes import Stop
from processing.archive.bucket_files import StoredObject, put_object, remove_objects, root_of, set_objects_aside
from processing.archive.objects import Place

TAKEN, QUARANTINE = "taken", "quarantine"
"""Endings of the prefixes beside the landing prefix."""


class OriginObject(BaseModel):
    """One object of a package."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    size: int
    etag: str | None
    path: str
    """Its copy, relative to the claim's own folder; empty where its name could not be one of a file."""


class Origin(BaseModel):
    """A package's place in a bucket, as it was when it was fetched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    endpoint: str | None
    region: str | None
    timeout_s: float
    afterwards: Literal["delete", "move"]
    names: tuple[str, ...]
    """First parts of its keys: what else comes under one of them waits until this package is over."""
    objects: tuple[OriginObject, ...]

    def place(self, home: Home) -> Place:
        """The landing prefix."""
        return object_place(home, self)


def clear_origin(home: Home, origin: Origin, claim: Path, digest: str | None, refused: Stop | None) -> None:
    """Remove a package's objects from its bucket, or move them aside. Called again, it goes on where it was.

    What is refused is moved to ``PREFIX.quarantine/<claim>/``, with ``reason.json``. What is done is deleted only if
    its copy is in ``HOME/inputs``, and moved to ``PREFIX.taken/<claim>/`` otherwise. An object that was sent anew
    meanwhile stays: it is the next package.

    Parameters
    ----------
    claim
        The claim's own folder.
    digest
        Of the package's content.
    refused
        Why nothing was made of it; None if something was.

    Raises
    ------
    Retryable, BadInput
        ``s3.*``
    """
    place = origin.place(home)
    if refused is not None:
        folder = aside(place, QUARANTINE, claim.name)
        reason = refused.model_dump(mode="json") | {"time": datetime.now(UTC).isoformat(timespec="seconds")}
        put_object(place, folder, "reason.json", json.dumps(reason, indent=2, ensure_ascii=False).encode() + b"\n")
    elif origin.afterwards == "move" or not _is_kept(home, digest):
        folder = aside(place, TAKEN, claim.name)
    else:
        folder = None
    objects = [StoredObject(key=each.key, size=each.size, etag=each.etag) for each in origin.objects]
    if folder is None:
        remove_objects(place, objects)
        return
    copies = [claim / each.path for each in origin.objects]
    kept = [home.inputs / (digest or "none") / each.path.partition("/")[2] for each in origin.objects]
    copies = [here if here.is_file() else there for here, there in zip(copies, kept, strict=True)]
    set_objects_aside(place, zip(objects, copies, strict=True), folder)


def aside(place: Place, what: str, name: str) -> str:
    """A prefix beside the landing prefix, from the bucket's root; a hidden one where that is the whole bucket."""
    _, prefix = root_of(place)
    return f"{prefix.rstrip('/')}.{what}/{name}"


def _is_kept(home: Home, digest: str | None) -> bool:
    folder = home.inputs / (digest or "none")
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())

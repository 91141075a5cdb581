"""A product's store to read from: a folder, or a place of objects. What reads products asks here and need not know."""

import contextlib
import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.storage import ObjectStore

from processing.archive.layout import MANIFEST
from processing.archive.manifest import fingerprint
from processing.archive.objects import Place, explained, is_url, open_objects
from processing.archive.shards import array_at
from processing.model.errors import BadInput

_STRICT: Any = {"read_missing_chunks": False}


class RemoteStore:
    """A store at a place of objects. It travels to other processes as its address, and opens itself there."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return (RemoteStore, (self.place,))

    def __str__(self) -> str:
        return str(self.place)

    @property
    def name(self) -> str:
        """Its last part, as a path's."""
        return self.place.url.rpartition("/")[2]

    @cached_property
    def root(self) -> "zarr.Group":
        """All its metadata, by one request."""
        with explained(self.place):
            return zarr.open_group(
                ObjectStore(open_objects(self.place), read_only=True), mode="r", zarr_format=3, use_consolidated=True
            )

    def digest(self) -> str:
        """SHA-256 of its manifest, hex.

        Raises
        ------
        FileNotFoundError
            If it has none: what is there was never published.
        """
        return hashlib.sha256(self.manifest).hexdigest()

    @cached_property
    def manifest(self) -> bytes:
        """Its manifest: it never changes."""
        with explained(self.place, MANIFEST):
            return bytes(open_objects(self.place).get(MANIFEST).bytes())


type Store = Path | RemoteStore


def store_of(where: Path | str | Place) -> Store:
    """The store at a path, a link's end, or an address such as ``s3://bucket/prefix/.../<revision>.zarr``.

    Raises
    ------
    BadInput
        ``product.not_found`` if nothing is published at an address; those of
        :func:`~processing.archive.objects.open_objects`.
    """
    if not is_url(where):
        return Path(str(where)).resolve()
    place = Place.of(where)
    if not place.is_s3:
        return place.folder.resolve()
    store = RemoteStore(place)
    try:
        store.digest()
    except FileNotFoundError:
        raise BadInput(
            "no product is published there",
            kind="product.not_found",
            where=str(place),
            remedy="Name the address of its store, up to and including <revision>.zarr.",
        ) from None
    return store


def group_of(store: Store, path: str) -> "zarr.Group":
    """One group of a store, to be read.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    if isinstance(store, Path):
        return zarr.open_group(store, path=path, mode="r", zarr_format=3)
    try:
        node = store.root[path]
    except KeyError:
        raise FileNotFoundError(f"{store}/{path}") from None
    assert isinstance(node, zarr.Group)
    return node


def array_of(store: Store, path: str) -> "zarr.Array[Any]":
    """One array of a store, to be read; a chunk that is not there is an error, never nodata."""
    if isinstance(store, Path):
        return array_at(store, path)
    node = store.root[path]
    assert isinstance(node, zarr.Array)
    strict: zarr.Array[Any] = node.with_config(_STRICT)
    return strict


def read_region(store: Store, path: str, region: Any) -> npt.NDArray[np.generic]:
    """Pixels of one array.

    Raises
    ------
    Retryable, BadInput
        As :func:`~processing.archive.objects.explained`, from a server.
    """
    with explained(store.place, path) if isinstance(store, RemoteStore) else contextlib.nullcontext():
        return np.asarray(array_of(store, path)[region])


def listed_digest(store: Store, key: str) -> str | None:
    """SHA-256 that a store's manifest states for an object, hex; None if it cannot be read, or lists none."""
    try:
        content = (store / MANIFEST).read_bytes() if isinstance(store, Path) else store.manifest
        return str(json.loads(content)["objects"][key]["sha256"])
    except (ValueError, KeyError, TypeError):
        return None


def digest_of(store: Store) -> str:
    """SHA-256 of a store's manifest, hex."""
    return fingerprint(store / MANIFEST) if isinstance(store, Path) else store.digest()

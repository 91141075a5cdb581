"""Publishing a product at a place of objects: S3, or a folder. It is there whole, or nobody can see it.

Intent -> objects -> completeness -> commit -> pointer. Nothing is ever changed under a key, so every step may be
repeated, by anybody, from anywhere:

- The **intent** is the product's record, put where none is. Whoever comes second takes over the first one's record, so
  that all who publish a revision send the same bytes; one whose figures differ stops before it has sent any.
- Each **object** is sent where none is and read back. What is there already and right is not sent again.
- The **commit** is the store's manifest, put where none is. Before it no reader finds the revision.
- The **pointer** names the latest revision. It changes from what was seen, or not at all.
"""

import hashlib
import json
import random
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from processing.archive import durable
from processing.archive.compute import Progress
from processing.archive.layout import MANIFEST, ProductPaths
from processing.archive.manifest import read_manifest
from processing.archive.objects import Place
from processing.archive.remote_layout import (
    RemotePaths,
    documents,
    expected_records,
    read_latest,
    record_bytes,
    remote_record,
    same_content,
)
from processing.archive.remote_objects import Found, Room
from processing.archive.remote_send import Part, differs, ensure
from processing.archive.write import published
from processing.model.errors import BadInput, Conflict, Defect, Retryable
from processing.model.product import Product

_AT_ONCE = 4
"""Objects under way at once: enough to hide the way to the server, few enough for a small machine's memory."""
_POINTER_TRIES = 20

type Outcome = Literal["published", "finished", "adopted", "present", "repaired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteProduct:
    """A product that is whole at a place."""

    product: Product
    """The record as it is there: of whoever published it first."""
    place: Place
    outcome: Outcome
    """``published``: by this call, from nothing. ``finished``: from what an earlier attempt had left. ``adopted``:
    another one was faster. ``present``: nothing was to do. ``repaired``: objects lost or altered were put right."""
    sent: int
    """Objects sent."""
    found: int
    """Objects that were there already."""


def publish_remote(
    home: Path, product: Product, target: str | Path | Place, *, latest: bool = True, progress: Progress | None = None
) -> RemoteProduct:
    """See to it that a product of the local archive is whole at another place too.

    Parameters
    ----------
    home
        HOME, where the product is published.
    product
        Its record there; of its latest revision, or of an earlier one that is kept.
    target
        The place: ``s3://bucket/prefix`` or a folder, or a :class:`~processing.archive.objects.Place`.
    latest
        Also make this revision the place's latest, if it is the latest in HOME. False leaves a pointer alone that is
        there.
    progress
        Called with (done, total, what).

    Returns
    -------
    remote
        What is there now, and how it came about.

    Raises
    ------
    Retryable
        ``s3.unavailable``, ``s3.altered``: what was sent stays there unseen, and the next call goes on from it.
    BadInput
        ``s3.bucket``, ``s3.credentials``, ``s3.refused``, ``place.not_found``.
    Conflict
        ``revision.differs`` if the place holds this revision with other bytes; it is left as it is.
    Defect
        ``archive.corrupt`` if the local copy is damaged: it is not sent.
    """
    place = Place.of(target)
    if not place.is_s3 and place.folder == home.resolve():
        raise BadInput("a product's second place cannot be its first", kind="place.url", where=str(place))
    room, paths = Room(place), RemotePaths.of(product)
    with durable.exclusive(ProductPaths.of(home.resolve(), product).lock):
        before = room.sizes(paths.store) | room.sizes(paths.files)
        agreed = _agree(room, paths, product, there=paths.record in before)
        parts = _plan(home, product, agreed)
        done = {part.record.key for part in parts if before.get(part.record.key) == part.record.size}
        committed, manifest = paths.manifest in before, _manifest(home, product)
        outcome: Outcome = "present"
        if committed and len(done) == len(parts):
            sent = 0
            _ensure_manifest(room, paths, agreed, manifest)
        else:
            sent = _send(room, parts, before, progress)
            _require_complete(room, paths, parts)
            _make_durable(place)
            won = _commit(room, paths, agreed, manifest)
            _make_durable(place)
            outcome = "repaired" if committed else "adopted" if not won else "finished" if before else "published"
        if (latest and _is_latest(home, product)) or read_latest(room, product.collection, product.id) is None:
            _point(room, paths, agreed)
    return RemoteProduct(product=agreed, place=place, outcome=outcome, sent=sent, found=len(parts) - sent)


def published_remote(
    target: str | Path | Place, collection: str, item_id: str, *, revision: str | None = None
) -> Product | None:
    """The record of a product that is published at a place, or None.

    Parameters
    ----------
    target
        The place.
    collection, item_id
        Which.
    revision
        Which revision; None: the latest.

    Raises
    ------
    Retryable, BadInput
        As :func:`publish_remote`.
    """
    return remote_record(Room(Place.of(target)), collection, item_id, revision)


def _agree(room: Room, paths: RemotePaths, product: Product, *, there: bool) -> Product:
    """Put the intent, or take over the one that is there."""
    ours = record_bytes(product)
    if not there and room.create(paths.record, ours):
        return product
    content, found = room.read(paths.record)
    if found.is_altered and found.claim == hashlib.sha256(ours).hexdigest():
        return product  # sent by us before, and altered on its way: it is put right with the other objects
    try:
        theirs = Product.model_validate_json(content)
    except ValueError:
        raise differs(room.place, paths.record, "the record of this revision cannot be read") from None
    if not same_content(product, theirs):
        names = [name for name in type(product).model_fields if getattr(product, name) != getattr(theirs, name)]
        raise differs(room.place, paths.record, f"this revision is there with other content: {', '.join(names)}")
    return theirs


def _is_latest(home: Path, product: Product) -> bool:
    latest = published(home, product.collection, product.id)
    return latest is not None and latest.revision == product.revision


def _plan(home: Path, product: Product, agreed: Product) -> list[Part]:
    """Every object of a product but the one that commits it: what it must be, and where it is here."""
    paths, store = RemotePaths.of(product), home / product.archive_href
    made, local_paths = documents(agreed), ProductPaths.of(home, product)
    folder = local_paths.files if _is_latest(home, product) else local_paths.superseded_files(product.revision)
    sources: dict[str, Path | bytes] = {f"{paths.files}/{name}": content for name, content in made.items()}
    parts = []
    for record in expected_records(agreed, read_manifest(store)):
        place, _, name = record.key.rpartition("/")
        local = folder / name if place == paths.files else store / record.key.removeprefix(f"{paths.store}/")
        parts.append(Part(record, sources.get(record.key, local)))
    return parts


def _send(room: Room, parts: Sequence[Part], before: dict[str, int], progress: Progress | None) -> int:
    """Send what is not there, several at once; each publisher begins elsewhere, so that racers share the work."""
    start = random.randrange(len(parts))  # noqa: S311 - spreads work, keeps no secret
    order = [*parts[start:], *parts[:start]]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="upload") as threads:
        results = threads.map(lambda part: ensure(room, part, there=part.record.key in before), order)
        sent = 0
        try:
            for number, (part, result) in enumerate(zip(order, results, strict=True), 1):
                sent += result != "there"
                if progress is not None:
                    progress(number, len(order), part.record.key.rpartition("/")[2])
        except BaseException:
            threads.shutdown(wait=True, cancel_futures=True)
            raise
    return sent


def _require_complete(room: Room, paths: RemotePaths, parts: Sequence[Part]) -> None:
    """Compare what lies there with the plan, key by key and size by size."""
    wanted = {part.record.key: part.record.size for part in parts}
    for _ in range(2):  # a listing carries no checksum: one that contradicts us is asked for again
        found = room.sizes(paths.store) | room.sizes(paths.files)
        found.pop(paths.manifest, None)
        if found == wanted:
            return
    if missing := sorted(key for key, size in wanted.items() if found.get(key) != size):
        raise Retryable(
            f"{len(missing)} objects are gone again after they were sent, {missing[0]} among them",
            kind="s3.lost",
            where=str(room.place),
            remedy="See whether something removes objects there, such as a life-cycle rule; then run it again.",
        )
    raise Conflict(
        f"objects lie among the product's that do not belong to it: {sorted(found.keys() - wanted.keys())[:3]}",
        kind="revision.foreign",
        where=str(room.place),
        remedy="Move them away, and find out who put them there.",
    )


def _manifest(home: Path, product: Product) -> bytes:
    content = (home / product.archive_href / MANIFEST).read_bytes()
    if hashlib.sha256(content).hexdigest() != product.manifest_sha256:
        raise Defect("the local manifest is damaged", kind="archive.corrupt", where=product.archive_href)
    return content


def _commit(room: Room, paths: RemotePaths, product: Product, manifest: bytes) -> bool:
    """Put the manifest where none is: the moment from which the revision is published. True if this call did it."""
    token = secrets.token_hex(16)
    created = room.create(paths.manifest, manifest, token=token)
    found = _ensure_manifest(room, paths, product, manifest)
    # Not created: somebody was faster, or our own request was carried out and only its answer got lost.
    return created or found.token == token


def _ensure_manifest(room: Room, paths: RemotePaths, product: Product, content: bytes) -> Found:
    """Read the manifest back; one that was altered on its way or since is put right, another one is refused."""
    _, found = room.read(paths.manifest)
    if found.sha256 == product.manifest_sha256:
        return found
    if room.place.is_s3 and found.claim != product.manifest_sha256:
        raise differs(room.place, paths.manifest, "the revision's manifest is not the one of its record")
    room.replace(paths.manifest, content, found.e_tag, token=found.token)
    _, found = room.read(paths.manifest)
    if found.sha256 != product.manifest_sha256:
        raise Retryable("the manifest arrives altered", kind="s3.altered", where=f"{room.place}/{paths.manifest}")
    return found


def _point(room: Room, paths: RemotePaths, product: Product) -> None:
    """Make a revision the latest, from whatever was the latest before; no step of another one is lost."""
    for attempt in range(_POINTER_TRIES):
        seen = read_latest(room, product.collection, product.id)
        if seen is not None and seen.revision == product.revision:
            return
        history = [*(seen.history if seen else ()), product.revision]
        content = json.dumps({"format": "qyran-latest/1", "revision": product.revision, "history": history}, indent=1)
        if room.place.is_s3:
            bytes_ = content.encode() + b"\n"
            if room.create(paths.latest, bytes_) if seen is None else room.replace(paths.latest, bytes_, seen.e_tag):
                return
        else:
            # One step on a local filesystem; between processes of one machine the lock of the product orders them.
            durable.write_file(room.place.folder / paths.latest, content.encode() + b"\n")
            return
        time.sleep(min(2.0, 0.05 * 2**attempt) * random.uniform(0.5, 1.0))  # noqa: S311 - spreads attempts
    raise Retryable("others keep changing the product's latest revision", kind="s3.busy", where=str(room.place))


def _make_durable(place: Place) -> None:
    """An S3 server answers for what it has acknowledged; a folder does not."""
    if not place.is_s3:
        durable.sync_tree(place.folder)

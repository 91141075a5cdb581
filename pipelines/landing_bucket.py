"""The landing zone in a bucket: packages are fetched when they are whole, and go the way of all claims from there.

An object is whole when it is there, but a package may be many, and come over minutes. It is whole when a list in it
names nothing that is missing, when a marker beside it says so, or when two looks as far apart as ``stable_seconds``
found the same. It is fetched into staging and checked, and becomes a claim by one rename; its objects stay where they
are until its run is over (:mod:`pipelines.landing_origin`). So a crash at any moment loses nothing, and nothing is
taken twice: what a claim stands for is left alone.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from configs.schema.landing import LandingBucket, LandingConfig
from configs.settings import Home
from pipelines.landing import belonging, is_temporary
from pipelines.landing_claims import Claim, claims
from pipelines.landing_fetch import BucketPackage, disagrees, drop_fetched, fetch_package, fetched_place
from pipelines.object_places import object_place
from processing.archive import durable
from processing.archive.bucket_files import StoredObject, fetch_objects, list_objects
from processing.archive.objects import Place
from processing.model.errors import Retryable
from processing.readers.checksums import is_checksum_list, listed_digests

_STATE = "landing-bucket.json"
"""In staging: what the last look found, and since when. Without it a package waits a little longer."""
_LIST_BYTES = 20 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A package in the bucket that was not taken, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What is known of a package from earlier looks."""

    print: str
    since: float
    """When it was seen like this first, by this machine's clock; s since 1970."""
    disagreed: bool = False
    """It was fetched early, and its own list did not agree with it."""


def take_from_bucket(home: Home, rules: LandingConfig, *, now: float) -> Iterator[Claim | Pending]:
    """Fetch what is whole in the bucket, each package as a claim, as long as few are in work. Hold the landing's lock.

    Nothing is fetched while the caller sees to what came: a claim may have its run before the next package.

    Parameters
    ----------
    home, rules
        The installation; its rules name a bucket.
    now
        s since 1970.

    Yields
    ------
    claim, or pending
        What was taken, or waits, and why.

    Raises
    ------
    Retryable
        ``s3.unavailable``; what was taken before stays taken.
    BadInput
        ``s3.*``, ``place.*``
    """
    assert rules.bucket is not None
    drop_fetched(home)
    place = object_place(home, rules.bucket)
    known = _remembered(home)
    open_ = {name for claim in claims(home) if claim.origin for name in claim.origin.names}
    groups = {group.names[0]: group for group in bucket_groups(list_objects(place), rules)}
    seen = {name: each for name, each in known.items() if name in groups}
    fetched, full = 0, _full(home, rules.bucket, 0)
    try:
        # What waited longest is first, so that a name late in the alphabet has its turn too.
        for name, group in sorted(groups.items(), key=lambda each: seen[each[0]].since if each[0] in seen else now):
            if open_ & {*group.names, *group.beside}:
                seen.pop(name, None)
                continue  # its claim is over first
            before = known.get(name)
            if before is None or before.print != group.print or before.since > now:
                seen[name] = _Seen(print=group.print, since=now)
            taken = full or _taken(home, place, rules, group, seen, now)
            if isinstance(taken, str):
                yield Pending(name=name, why=taken)
                continue
            fetched += taken.size
            yield taken
            full = _full(home, rules.bucket, fetched)
    finally:
        _remember(home, seen)


def _full(home: Home, bucket: LandingBucket, fetched: int) -> str:
    """Why nothing more is fetched now; empty while there is room. What is held for want of something takes none.

    Parameters
    ----------
    fetched
        Bytes, by this look: it has an end, however fast runs are.
    """
    now = datetime.now(UTC)
    working = [each.size for each in claims(home) if each.origin and (each.next_try is None or each.next_try <= now)]
    if len(working) >= bucket.most_packages:
        return f"it waits for its turn: {len(working)} packages of the bucket are in work"
    size = max(sum(working), fetched)
    if size >= bucket.most_gb * 1e9:
        return f"it waits for its turn: {size / 1e9:.1f} GB of the bucket are in work"
    return ""


def _taken(
    home: Home, place: Place, rules: LandingConfig, group: BucketPackage, seen: dict[str, _Seen], now: float
) -> Claim | str:
    """The claim of a package that is whole; else why it is not taken."""
    assert rules.bucket is not None
    name = group.names[0]
    try:
        whole, why = _whole(place, group, seen[name], rules, now)
        claim = fetch_package(home, place, rules.bucket, group) if whole else None
        if claim is None:
            return "it changed while it was fetched" if whole else why
        if seen[name].since + rules.stable_seconds <= now or not disagrees(home, claim):
            durable.move(fetched_place(home, claim.id), home.claimed / claim.id)
            del seen[name]
            return claim
    except Retryable as error:
        drop_fetched(home)
        if not error.kind.startswith("disk."):
            raise
        return str(error)  # one that does not fit keeps no other waiting
    except OSError as error:
        drop_fetched(home)
        return f"it cannot be written on this machine: {error.strerror or error}"
    shutil.rmtree(fetched_place(home, claim.id), ignore_errors=True)
    seen[name] = _Seen(print=group.print, since=seen[name].since, disagreed=True)
    return "it does not agree with its own list yet"


def bucket_groups(objects: Iterator[StoredObject], rules: LandingConfig) -> Iterator[BucketPackage]:
    """The packages among objects; what is hidden belongs to none."""
    entries: dict[str, list[StoredObject]] = {}
    for each in objects:
        first = each.key.partition("/")[0]
        if not first.startswith("."):
            entries.setdefault(first, []).append(each)
    files = {name: all("/" not in each.key for each in found) for name, found in sorted(entries.items())}
    for names, beside in belonging(files, rules):
        found = [each for name in (*names, *beside) for each in entries[name]]
        # Some programs make an empty object for a folder.
        folders = {str(parent) for each in found for parent in PurePosixPath(each.key).parents}
        yield BucketPackage(
            names=tuple(names),
            beside=tuple(beside),
            objects=tuple(each for each in found if each.size or each.key not in folders),
        )


def _whole(place: Place, group: BucketPackage, seen: _Seen, rules: LandingConfig, now: float) -> tuple[bool, str]:
    own = list(group.of(group.names))
    if not any(each.size for each in own):
        return False, "there is nothing in it"
    going = next((each.key for each in group.objects if is_temporary(PurePosixPath(each.key).name, rules)), None)
    if going is not None:
        return False, f"{going} is being transferred"
    age = now - seen.since
    # One that is empty names nothing, and may stand for a folder.
    lists = [each for each in group.objects if each.size and is_checksum_list(PurePosixPath(each.key).name)]
    missing = _missing(place, group, lists)
    if missing is not None:
        if age < rules.incomplete_minutes * 60:
            return False, f"its list names {missing}, which has not come"
        return True, f"its list names {missing}, which has not come in {age / 60:.0f} minutes"
    if any(name.lower().endswith(rules.markers) for name in group.beside):
        return True, "a marker says so"
    if age >= rules.stable_seconds:
        return True, f"it has been the same for {age:.0f} s"
    if lists and not seen.disagreed:
        return True, "all that its list names is there"
    return False, f"it has been the same for {age:.0f} s, and may change yet"


def _missing(place: Place, group: BucketPackage, lists: Sequence[StoredObject]) -> str | None:
    """The first object that a list names and that has not come."""
    there = {each.key for each in group.objects}
    for each in lists:
        if each.key.partition("/")[0] not in group.names or each.size > _LIST_BYTES or "/" not in each.key:
            continue  # it lies beside one file, and speaks of that
        with TemporaryDirectory() as folder:
            copy = Path(folder) / "list"
            if not fetch_objects(place, [(each, copy)]):
                return each.key
            named = [PurePosixPath(each.key).parent / name for name in listed_digests(copy)]
        for name in named:
            if ".." not in name.parts and not name.is_absolute() and str(name) not in there:
                return str(name)
    return None


def _remembered(home: Home) -> dict[str, _Seen]:
    try:
        told = json.loads((home.staging / _STATE).read_bytes())
        return {str(name): _Seen(**facts) for name, facts in told.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(home: Home, seen: Mapping[str, _Seen]) -> None:
    told = {
        name: {"print": each.print, "since": each.since, "disagreed": each.disagreed} for name, each in seen.items()
    }
    if told or (home.staging / _STATE).exists():
        durable.write_file(home.staging / _STATE, json.dumps(told).encode())

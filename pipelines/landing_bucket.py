"""The landing zone in a bucket: packages are fetched when they are whole, and go the way of all claims from there.

An object is whole when it is there, but a package may be many, and come over minutes. It is whole when a list in it
names nothing that is missing, when a marker beside it says so, or when two looks as far apart as ``stable_seconds``
found the same. It is fetched into staging and checked, and becomes a claim by one rename; its objects stay where they
are until its run is over (:mod:`pipelines.landing_origin`). So a crash at any moment loses nothing, and nothing is
taken twice: what a claim stands for is left alone.
"""

import hashlib
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
from pipelines.landing_claims import BESIDE, CLAIM, PACKAGE, Claim, claim_folder, claim_id, claims
from pipelines.landing_lists import agreeing, check_alone
from pipelines.landing_origin import Origin, OriginObject
from pipelines.outcomes import Stop
from pipelines.packages import content_digest
from processing.archive import durable
from processing.archive.bucket_files import StoredObject, fetch_objects, is_safe, list_objects
from processing.archive.disk_faults import disk_faults
from processing.archive.objects import Place
from processing.archive.space import require_space
from processing.model.errors import BadInput, Retryable
from processing.model.quality import Outcome
from processing.readers.checksums import is_checksum_list, listed_digests

_STATE = "landing-bucket.json"
"""In staging: what the last look found, and since when. Without it a package waits a little longer."""
_FETCHING = "bucket-"
"""In staging: packages that are being fetched. Whoever holds the landing's lock finds only those of the dead."""
_LIST_BYTES = 20 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A package in the bucket that was not taken, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """One package in the bucket."""

    names: tuple[str, ...]
    """First parts of the keys of what it is made of; the first one is its own."""
    beside: tuple[str, ...]
    objects: tuple[StoredObject, ...]

    @property
    def print(self) -> str:
        """Of its keys, sizes and contents, as far as a listing tells."""
        lines = sorted(f"{each.key} {each.size} {each.etag}" for each in self.objects)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def of(self, names: Sequence[str]) -> Iterator[StoredObject]:
        """Objects under some of its names."""
        return (each for each in self.objects if each.key.partition("/")[0] in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What is known of a package from earlier looks."""

    print: str
    since: float
    """When it was seen like this first, by this machine's clock; s since 1970."""
    disagreed: bool = False
    """It was fetched early, and its own list did not agree with it."""


def bucket_place(home: Home, bucket: LandingBucket) -> Place:
    """The landing prefix.

    Raises
    ------
    BadInput
        ``place.url``
    """
    return Place.of(
        bucket.url,
        endpoint=bucket.endpoint,
        region=bucket.region,
        timeout_s=bucket.timeout_s,
        credentials=home.object_keys,
    )


def take_from_bucket(home: Home, rules: LandingConfig, *, now: float) -> Iterator[Claim | Pending]:
    """Fetch what is whole in the bucket, each package as a claim. Hold the landing's lock.

    Parameters
    ----------
    home, rules
        The installation; its rules name a bucket.
    now
        s since 1970.

    Yields
    ------
    claim, or pending
        What was taken, or is not whole yet.

    Raises
    ------
    Retryable
        ``s3.unavailable``, ``disk.*``; what was taken before stays taken.
    BadInput
        ``s3.*``, ``place.*``
    """
    assert rules.bucket is not None
    for left in home.staging.glob(f"{_FETCHING}*"):
        shutil.rmtree(left, ignore_errors=True)
    place = bucket_place(home, rules.bucket)
    known, seen = _remembered(home), dict[str, _Seen]()
    open_ = {name for claim in claims(home) if claim.origin for name in claim.origin.names}
    try:
        for group in bucket_groups(list_objects(place), rules):
            name = group.names[0]
            if open_ & {*group.names, *group.beside}:
                continue  # its claim is over first
            before = known.get(name)
            same = before is not None and before.print == group.print and before.since <= now
            seen[name] = before if before is not None and same else _Seen(print=group.print, since=now)
            whole, why = _whole(place, group, seen[name], rules, now)
            try:
                claim = _fetched(home, place, rules.bucket, group) if whole else None
            except Retryable as error:
                if not error.kind.startswith("disk."):
                    raise
                yield Pending(name=name, why=str(error))  # one that does not fit keeps no other waiting
                continue
            if claim is not None and (seen[name].since + rules.stable_seconds <= now or not _disagrees(home, claim)):
                durable.move(home.staging / f"{_FETCHING}{claim.id}", home.claimed / claim.id)
                del seen[name]
                yield claim
                continue
            if claim is not None:
                shutil.rmtree(home.staging / f"{_FETCHING}{claim.id}", ignore_errors=True)
                seen[name] = _Seen(print=group.print, since=seen[name].since, disagreed=True)
                why = "it does not agree with its own list yet"
            yield Pending(name=name, why=why if not whole or claim else "it changed while it was fetched")
    finally:
        _remember(home, seen)


def bucket_groups(objects: Iterator[StoredObject], rules: LandingConfig) -> Iterator[_Group]:
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
        yield _Group(
            names=tuple(names),
            beside=tuple(beside),
            objects=tuple(each for each in found if each.size or each.key not in folders),
        )


def _whole(place: Place, group: _Group, seen: _Seen, rules: LandingConfig, now: float) -> tuple[bool, str]:
    own = list(group.of(group.names))
    if not any(each.size for each in own):
        return False, "there is nothing in it"
    going = next((each.key for each in group.objects if is_temporary(PurePosixPath(each.key).name, rules)), None)
    if going is not None:
        return False, f"{going} is being transferred"
    age = now - seen.since
    lists = [each for each in group.objects if is_checksum_list(PurePosixPath(each.key).name)]
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


def _missing(place: Place, group: _Group, lists: Sequence[StoredObject]) -> str | None:
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


def _fetched(home: Home, place: Place, bucket: LandingBucket, group: _Group) -> Claim | None:
    """A package in staging, as the claim that it will be; None if it changed meanwhile."""
    name = group.names[0]
    identity, folder = claim_id(name), claim_folder(name, len(group.names))
    root = home.staging / f"{_FETCHING}{identity}"
    size = sum(each.size for each in group.objects)
    require_space(home.staging, size, what=f"fetching {name}")
    paths = {each.key: _path(each.key, group, folder) for each in group.objects}
    with disk_faults(root):
        (root / PACKAGE).mkdir(parents=True, mode=0o700)
        wanted = [(each, root / paths[each.key]) for each in group.objects if paths[each.key]]
        for _, path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
        if not fetch_objects(place, wanted):
            shutil.rmtree(root, ignore_errors=True)
            return None
        claim = Claim(
            id=identity,
            name=name,
            members=group.names,
            beside=group.beside,
            folder=folder,
            claimed=datetime.now(UTC),
            size=size,
            digest=content_digest(root / PACKAGE / (folder or name)),
            fault=_fault(root, group, paths),
            origin=Origin(
                **bucket.model_dump(include={"url", "endpoint", "region", "timeout_s", "afterwards"}),
                names=(*group.names, *group.beside),
                objects=tuple(
                    OriginObject(key=each.key, size=each.size, etag=each.etag, path=paths[each.key])
                    for each in group.objects
                ),
            ),
        )
        (root / CLAIM).write_text(claim.model_dump_json(indent=1))
        durable.make_folders(home.claimed)
        durable.sync_tree(root)
    return claim


def _path(key: str, group: _Group, folder: str | None) -> str:
    """Where an object lies in its claim; nowhere if its name could lead elsewhere."""
    if not is_safe(key):
        return ""
    beside = key.partition("/")[0] in group.beside
    return f"{BESIDE}/{key}" if beside else "/".join(filter(None, (PACKAGE, folder, key)))


def _fault(root: Path, group: _Group, paths: Mapping[str, str]) -> Stop | None:
    """What is wrong with a package already: names that are no paths of files, a list beside it that disagrees."""
    unsafe = next((key for key, path in paths.items() if not path), None)
    if unsafe is not None:
        message = f"the object's name {unsafe[:200]!r} cannot be a file's"
        return Stop(outcome=Outcome.QUARANTINED, reason="path.escape", message=message, where=unsafe)
    package = root / PACKAGE / group.names[0]
    try:
        if package.is_file():
            check_alone(package, [root / BESIDE / name for name in group.beside if is_checksum_list(name)])
    except BadInput as error:
        return Stop.of(error, Outcome.QUARANTINED)
    return None


def _disagrees(home: Home, claim: Claim) -> bool:
    """Whether a package that was fetched early does not agree with its own lists: some of it may come anew."""
    root = home.staging / f"{_FETCHING}{claim.id}" / PACKAGE
    try:
        return claim.fault is not None or not agreeing(root / (claim.folder or claim.members[0]))
    except BadInput:
        return False  # a list that nobody can read is for the run to refuse


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

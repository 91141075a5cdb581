"""A package from a bucket into staging, as the claim that it will be."""

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from configs.schema.landing import LandingBucket
from configs.settings import Home
from pipelines.landing_claims import BESIDE, CLAIM, PACKAGE, Claim, claim_folder, claim_id
from pipelines.landing_lists import agreeing, check_alone
from pipelines.landing_origin import Origin, OriginObject
from pipelines.outcomes import Stop
from pipelines.packages import content_digest
from processing.archive import durable
from processing.archive.bucket_files import StoredObject, fetch_objects, is_safe
from processing.archive.disk_faults import disk_faults
from processing.archive.objects import Place
from processing.archive.space import require_space
from processing.model.errors import BadInput
from processing.model.quality import Outcome
from processing.readers.checksums import is_checksum_list

_FETCHING = "bucket-"
"""In staging: packages that are being fetched. Whoever holds the landing's lock finds only those of the dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketPackage:
    """One package in the bucket."""

    names: tuple[str, ...]
    """First parts of the keys of what it is made of; the first one is its own."""
    beside: tuple[str, ...]
    """Those of the lists and markers that came with it."""
    objects: tuple[StoredObject, ...]

    @property
    def print(self) -> str:
        """Of its keys, sizes and contents, as far as a listing tells."""
        lines = sorted(f"{each.key} {each.size} {each.etag}" for each in self.objects)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def of(self, names: Sequence[str]) -> Iterator[StoredObject]:
        """Objects under some of its names."""
        return (each for each in self.objects if each.key.partition("/")[0] in names)


def fetched_place(home: Home, claim_id: str) -> Path:
    """Where in staging a package is fetched to."""
    return home.staging / f"{_FETCHING}{claim_id}"


def drop_fetched(home: Home) -> None:
    """Delete what was fetched, and is no claim."""
    for left in home.staging.glob(f"{_FETCHING}*"):
        shutil.rmtree(left, ignore_errors=True)


def fetch_package(home: Home, place: Place, bucket: LandingBucket, group: BucketPackage) -> Claim | None:
    """A package in staging (:func:`fetched_place`), as the claim that it will be; None if it changed meanwhile.

    Raises
    ------
    Retryable
        ``s3.unavailable``, ``disk.*``
    BadInput
        ``s3.*``
    OSError
        If this machine cannot write it for another reason, such as the length of a path.
    """
    name = group.names[0]
    # The name of a package itself may be none that a disk takes.
    identity, folder = claim_id(name), claim_folder(name, len(group.names) if is_safe(name) else 2)
    root = fetched_place(home, identity)
    size = sum(each.size for each in group.objects)
    require_space(home.staging, size, what=f"fetching {name}")
    paths = _paths(group, folder)
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


def _paths(group: BucketPackage, folder: str | None) -> dict[str, str]:
    """Where the object of each key lies in its claim.

    Nowhere if its name could lead elsewhere, or cannot be a file's beside the others: a bucket may hold ``a`` beside
    ``a/b``, and ``a`` beside ``a/``, which come as the same key.
    """
    times = Counter(each.key for each in group.objects)
    folders = {str(parent) for key in times for parent in PurePosixPath(key).parents}
    found = {}
    for key, count in times.items():
        beside = key.partition("/")[0] in group.beside
        path = f"{BESIDE}/{key}" if beside else "/".join(filter(None, (PACKAGE, folder, key)))
        found[key] = path if is_safe(key) and key not in folders and count == 1 else ""
    return found


def _fault(root: Path, group: BucketPackage, paths: Mapping[str, str]) -> Stop | None:
    """What is wrong with a package already: names that are no paths of files, a list beside it that disagrees."""
    unsafe = next((key for key, path in paths.items() if not path), None)
    if unsafe is not None:
        what = "is that of an object and of a folder" if is_safe(unsafe) else "cannot be a file's"
        message = f"the object's name {unsafe[:200]!r} {what}"
        return Stop(outcome=Outcome.QUARANTINED, reason="path.escape", message=message, where=unsafe)
    package = root / PACKAGE / group.names[0]
    try:
        if package.is_file():
            check_alone(package, [root / BESIDE / name for name in group.beside if is_checksum_list(name)])
    except BadInput as error:
        return Stop.of(error, Outcome.QUARANTINED)
    return None


def disagrees(home: Home, claim: Claim) -> bool:
    """Whether a package that was fetched early does not agree with its own lists: some of it may come anew."""
    root = fetched_place(home, claim.id) / PACKAGE
    try:
        return claim.fault is not None or not agreeing(root / (claim.folder or claim.members[0]))
    except BadInput:
        return False  # a list that nobody can read is for the run to refuse

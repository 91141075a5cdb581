"""Packages taken from the landing zone, each in a folder of its own until its run is over.

``HOME/claimed/<id>/claim.json`` is written first and names what is to be moved; then each name is renamed. Whoever
finds a claim with names still in the landing zone goes on moving them, so that a crash at any moment loses nothing.
The run's end lies beside it as ``outcome.json``, written by the run itself: what became of a package does not hang on
Prefect's database.
"""

import contextlib
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from configs.settings import Home
from pipelines.landing import Landed
from pipelines.landing_origin import Origin, clear_origin
from pipelines.outcomes import PackageOutcome, Stop
from pipelines.packages import content_digest, quarantine_package
from processing.archive import durable
from processing.archive.disk_faults import disk_faults
from processing.model.quality import Outcome

log = logging.getLogger(__name__)

CLAIM, OUTCOME = "claim.json", "outcome.json"
PACKAGE = "package"
"""The folder in a claim's own that holds what was taken."""
BESIDE = "beside"
"""The one of lists and markers that came with it."""
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")


class Claim(BaseModel):
    """One package that was taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    """Of the package, as it was dropped."""
    members: tuple[str, ...]
    """Names in the landing zone that are the package."""
    beside: tuple[str, ...] = ()
    """Names of lists and markers that came with it."""
    folder: str | None = None
    """The folder in :data:`PACKAGE` that is the package, where it is made of loose files."""
    claimed: AwareDatetime
    size: int
    digest: str | None = None
    """Of its content (SHA-256); None until it is counted."""
    origin: Origin | None = None
    """Where it was fetched from; None: from ``HOME/landing``."""
    fault: Stop | None = None
    """What was wrong with it before any run."""
    attempt: int = 1
    failures: int = 0
    """Of those, how many ended by a fault, or were killed."""
    next_try: AwareDatetime | None = None
    """Not before this moment is it handed to a run again; None: it is handed to one, or may be at once."""
    waits_for: tuple[str, ...] = ()
    """Reasons for which it was held, or failed, the last time."""

    def place(self, home: Home) -> Path:
        """Its own folder."""
        return home.claimed / self.id

    def package(self, home: Home) -> Path:
        """The package, where it lies now."""
        return self.place(home) / PACKAGE / (self.folder or self.members[0])

    @property
    def key(self) -> str:
        """By which Prefect knows the run of this attempt, so that there is never a second: the content decides."""
        return f"landing-{self.digest}-{self.id[-8:]}-{self.attempt}"


def claim_package(home: Home, landed: Landed) -> Claim:
    """Take a whole package out of the landing zone. Hold the landing's lock.

    Raises
    ------
    Retryable, Defect
        ``disk.*``: ``disk.two_filesystems`` where the landing zone is mounted from elsewhere.
    """
    claim = Claim(
        id=claim_id(landed.name),
        name=landed.name,
        members=tuple(member.name for member in landed.members),
        beside=tuple(path.name for path in landed.beside),
        folder=claim_folder(landed.name, len(landed.members)),
        claimed=datetime.now(UTC),
        size=landed.size,
        fault=Stop.of(landed.fault, Outcome.QUARANTINED) if landed.fault else None,
    )
    with disk_faults(home.claimed):
        save(home, claim)
        return take(home, claim)


def claim_id(name: str) -> str:
    """A new id for the claim of a package of some name."""
    return f"{_UNSAFE.sub('-', name)[:60].strip('-.') or 'package'}_{secrets.token_hex(4)}"


def claim_folder(name: str, members: int) -> str | None:
    """The folder that holds a package of several loose entries; None where it is one entry."""
    return (_UNSAFE.sub("-", Path(name).stem)[:100] or "package") if members > 1 else None


def take(home: Home, claim: Claim) -> Claim:
    """Move what is still in the landing zone, and count the content. Does nothing where all is done."""
    if claim.digest is not None:
        return claim
    for name, folder in _places(home, claim):
        source = home.landing / name
        if not os.path.lexists(folder / name) and os.path.lexists(source):
            durable.move(source, folder / name)
    claim = claim.model_copy(update={"digest": content_digest(claim.package(home))})
    save(home, claim)
    return claim


def finish_taking(home: Home) -> None:
    """Go on where a killed look stopped. A claim for which nothing was moved yet is dropped: it is judged anew."""
    for claim in claims(home):
        if claim.digest is None:
            if any(os.path.lexists(folder / name) for name, folder in _places(home, claim)):
                take(home, claim)
            else:
                let_go(home, claim)


def _places(home: Home, claim: Claim) -> list[tuple[str, Path]]:
    """Names in the landing zone, and the folders they go to."""
    place = claim.place(home)
    package = place / PACKAGE / (claim.folder or "")
    return [(name, package) for name in claim.members] + [(name, place / BESIDE) for name in claim.beside]


def save(home: Home, claim: Claim) -> None:
    """Write a claim's record durably."""
    durable.write_file(claim.place(home) / CLAIM, claim.model_dump_json(indent=1).encode())


def claims(home: Home) -> tuple[Claim, ...]:
    """All claims, oldest first. A folder without a record holds nothing, because the record is written first."""
    found = (_read(path) for path in home.claimed.glob(f"*/{CLAIM}"))
    return tuple(sorted((claim for claim in found if claim), key=lambda claim: (claim.claimed, claim.id)))


def _read(path: Path) -> Claim | None:
    try:
        return Claim.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        log.warning("%s cannot be read, and its package waits until somebody looks at it: %s", path, error)
        return None


def record_outcome(home: Home, outcome: PackageOutcome) -> None:
    """Lay what became of a package beside it, if it was taken from the landing zone."""
    package = Path(outcome.package)
    with contextlib.suppress(ValueError):
        place = home.claimed / package.relative_to(home.claimed).parts[0]
        if (place / CLAIM).is_file():
            durable.write_file(place / OUTCOME, outcome.model_dump_json(indent=1).encode())


def outcome_of(home: Home, claim: Claim) -> PackageOutcome | None:
    """What a run said of a claimed package; None while none has."""
    try:
        return PackageOutcome.model_validate_json((claim.place(home) / OUTCOME).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def again(home: Home, claim: Claim, *, at: datetime, waits_for: tuple[str, ...]) -> Claim:
    """Have a claim tried again, not before a moment."""
    later = claim.model_copy(update={"attempt": claim.attempt + 1, "next_try": at, "waits_for": waits_for})
    save(home, later)
    (claim.place(home) / OUTCOME).unlink(missing_ok=True)
    return later


def let_go(home: Home, claim: Claim, refused: Stop | None = None) -> None:
    """Forget a claim, and delete what is left of its package: its record goes last of what can be seen.

    Parameters
    ----------
    refused
        Why nothing was made of it: one that came from a bucket is kept there then, out of the way.

    Raises
    ------
    Retryable, BadInput
        ``s3.*`` if it came from a bucket, and cannot be cleared up there now: then nothing is forgotten.
    """
    place = claim.place(home)
    if claim.origin is not None:
        clear_origin(home, claim.origin, place, claim.digest, refused)
    bin_ = home.staging / "trash" / secrets.token_hex(8)
    durable.make_folders(bin_)
    durable.move(place, bin_ / place.name)
    shutil.rmtree(bin_, ignore_errors=True)


def set_aside(home: Home, claim: Claim, stop: Stop) -> Path:
    """Put a claimed package into quarantine, untouched, with the reason, and forget the claim."""
    folder = quarantine_package(claim.package(home), home, stop)
    let_go(home, claim, stop)
    return folder


def twins(home: Home, claim: Claim, known: Iterable[Claim]) -> Iterator[Claim]:
    """Earlier claims of the same content, as they are now, of those that were known a moment ago."""
    for other in known:
        if other.digest == claim.digest and (other.claimed, other.id) < (claim.claimed, claim.id):
            now = _read(other.place(home) / CLAIM)
            if now is not None:
                yield now

"""The landing zone: which packages lie in it, and which of them are whole.

A package is a folder, an archive, or an image with what lies beside it under its name. It is whole when its own list
of files is complete and agrees with them, when a marker beside it says so, or when nothing in it has changed for a
while. Change is told by the kernel's time of change (ctime), which no sender can set: a copy that keeps the times of
its originals looks old while it is still being written.
"""

import contextlib
import errno
import fcntl
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from configs.landing import load_landing
from configs.schema.landing import LandingConfig
from configs.settings import Home
from pipelines.landing_lists import agree, check_alone, missing
from processing.model.errors import BadInput
from processing.readers.checksums import is_checksum_list

_IMAGES = (".tif", ".tiff", ".jp2")
_OF_RSYNC = re.compile(r"\..+\.[A-Za-z0-9]{6}")
"""What rsync calls a file while it writes it. Other hidden files may well belong to a package."""
_AHEAD_S = 2.0
"""A change so far in the future was dated by another clock: its age cannot be told."""


class LandingState(StrEnum):
    """How far the transfer of a package is."""

    ARRIVING = "arriving"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """One package in the landing zone."""

    name: str
    members: tuple[Path, ...]
    """What of the landing zone is the package: one entry, or an image and the loose files that describe it."""
    beside: tuple[Path, ...] = ()
    """Lists and markers that came with it."""
    state: LandingState
    why: str
    """In plain words."""
    files: int
    size: int
    quiet_s: float
    """Since anything of it changed last."""
    fault: BadInput | None = None
    """What is wrong with it already: a list beside it that it does not agree with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What lies in a package, by a look at names and times alone."""

    files: tuple[Path, ...]
    size: int
    quiet_s: float
    temporary: str | None
    """A name that says that its transfer goes on."""


def scan_landing(home: Home, rules: LandingConfig | None = None, *, now: float | None = None) -> tuple[Landed, ...]:
    """Every package in ``HOME/landing``, by name.

    Parameters
    ----------
    home
        The installation.
    rules
        None: those of ``HOME/configs/landing.yaml``.
    now
        Seconds since 1970.

    Raises
    ------
    ConfigError
        If the rules cannot be read.
    """
    rules = rules or load_landing(home.configs)
    moment = time.time() if now is None else now
    if not home.landing.is_dir():
        return ()
    found = []
    for members, beside in _packages(home.landing, rules):
        with contextlib.suppress(FileNotFoundError):  # taken away while we look: there is no such package
            found.append(_judged(members, beside, rules, moment))
    return tuple(found)


def _packages(landing: Path, rules: LandingConfig) -> Iterator[tuple[list[Path], list[Path]]]:
    """What belongs together: a package's own files, and the lists and markers beside it."""
    entries = {path.name: path.is_file() for path in sorted(landing.iterdir()) if not path.name.startswith(".")}
    for own, beside in belonging(entries, rules):
        yield [landing / name for name in own], [landing / name for name in beside]


def belonging(entries: Mapping[str, bool], rules: LandingConfig) -> Iterator[tuple[list[str], list[str]]]:
    """Names of what belongs together: of each package its own entries, and the lists and markers beside it.

    Parameters
    ----------
    entries
        What lies in a landing zone: whether it is a file, by name.
    """
    aside = {name: owner for name in entries if (owner := _owner_of(name, entries, rules)) is not None}
    images = [name for name in entries if name not in aside and name.lower().endswith(_IMAGES)]
    companions = {
        name: image
        for name, is_file in entries.items()
        if name not in aside and name not in images and is_file and (image := _image_of(name, images))
    }
    for name in entries:
        if name not in aside and name not in companions:
            own = [name, *(other for other, image in companions.items() if image == name)]
            yield own, [other for other, owner in aside.items() if owner in own]


def _owner_of(name: str, entries: Iterable[str], rules: LandingConfig) -> str | None:
    """The entry that a list or marker stands beside: ``x.zip`` for ``x.zip.sha256``, ``x.sha256`` or ``x.done``."""
    stem, dot, ending = name.rpartition(".")
    if not (
        f"{dot}{ending}".lower() in rules.markers or (is_checksum_list(name) and ending.lower()[:3] in ("sha", "md5"))
    ):
        return None
    whole = [other for other in entries if other == stem]
    return next(iter(whole or [other for other in entries if other != name and other.partition(".")[0] == stem]), None)


def _image_of(name: str, images: Sequence[str]) -> str | None:
    """The image that a loose file describes: ``scene.tif`` for ``scene_RPC.TXT``, ``scene.rpb``, ``scene.tif.xml``."""
    stems = {image: image.rpartition(".")[0] for image in images}
    fitting = [
        image for image, stem in stems.items() if name.startswith(stem) and name[len(stem) : len(stem) + 1] in "._-"
    ]
    return max(fitting, key=lambda image: len(stems[image]), default=None)


def _judged(members: list[Path], beside: list[Path], rules: LandingConfig, now: float) -> Landed:
    seen = _look([*members, *beside], rules, now)
    fault: BadInput | None = None
    try:
        whole, why = _whole(members[0], beside, seen, rules)
    except BadInput as error:
        whole, why, fault = seen.quiet_s >= rules.stable_seconds, error.message, error
    if whole and (writer := _being_written(seen.files)):
        whole, why = False, f"{writer} is still open for writing"
    return Landed(
        name=members[0].name,
        members=tuple(members),
        beside=tuple(beside),
        state=LandingState.WHOLE if whole else LandingState.ARRIVING,
        why=why,
        files=len(seen.files),
        size=seen.size,
        quiet_s=seen.quiet_s,
        fault=fault,
    )


def _whole(package: Path, beside: list[Path], seen: _Seen, rules: LandingConfig) -> tuple[bool, str]:
    """Whether a package is whole, and why.

    Raises
    ------
    BadInput
        ``checksum`` if it does not agree with the list beside it, or ``path.escape``, ``package.size``.
    """
    if not seen.files:
        return False, "there is nothing in it"
    if seen.temporary is not None:
        return False, f"{seen.temporary} is being transferred"
    absent, lists = missing(package, seen.files)
    if absent is not None:
        if seen.quiet_s < rules.incomplete_minutes * 60:
            return False, f"its list names {absent}, which has not come"
        return True, f"its list names {absent}, which has not come in {seen.quiet_s / 60:.0f} minutes"
    stable = seen.quiet_s >= rules.stable_seconds
    alone = [path for path in beside if is_checksum_list(path.name)]
    if alone and package.is_file():
        check_alone(package, alone)
        return True, f"it agrees with {alone[0].name}"
    if any(path.suffix.lower() in rules.markers for path in beside):
        return True, "a marker says so"
    if not stable and lists and all(agree(lists)):
        return True, "it agrees with its own list"
    age = f"{seen.quiet_s:.0f} s ago"
    return stable, f"it changed last {age}" if stable else f"it changed {age}, and may change again"


def _look(paths: Iterable[Path], rules: LandingConfig, now: float) -> _Seen:
    files, size, newest, temporary = [], 0, 0.0, None
    for path in paths:
        for found in (path, *(_inside(path) if path.is_dir() and not path.is_symlink() else ())):
            state = found.lstat()
            newest = max(newest, state.st_ctime)
            if found.is_dir() and not found.is_symlink():
                continue
            files.append(found)
            size += state.st_size
            if is_temporary(found.name, rules):
                temporary = found.name
        if is_temporary(path.name, rules):
            temporary = path.name
    quiet = now - newest
    return _Seen(files=tuple(files), size=size, quiet_s=quiet if quiet >= -_AHEAD_S else 0.0, temporary=temporary)


def is_temporary(name: str, rules: LandingConfig) -> bool:
    """Whether a name says that the transfer of what bears it goes on."""
    return name.lower().endswith(rules.temporary) or _OF_RSYNC.fullmatch(name) is not None


def _inside(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        yield from (Path(place) / name for name in (*folders, *names))


def _being_written(files: Iterable[Path]) -> str | None:
    """A file that some process of this machine has open for writing, if the system lets us ask: a transfer that stalls.

    A read lease is granted only on files that nobody writes to; it is given back at once.
    """
    for path in files:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue  # a link, or unreadable: whoever reads the package will say so
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return path.name
        finally:
            os.close(descriptor)
    return None


def watched_until_quiet(home: Home, landed: Sequence[Landed], rules: LandingConfig) -> tuple[Landed, ...]:
    """Those of the given packages that do not change while we watch: for times of change that lie in the future.

    A clock that was set back dates every file ahead; their age then says nothing, but that they stay the same does.
    """
    ahead = {each.name: _fingerprint(each) for each in landed if _is_ahead(each)}
    if not ahead:
        return ()
    time.sleep(rules.stable_seconds)
    again = scan_landing(home, rules, now=time.time() + 10 * 366 * 86_400.0)
    return tuple(
        each
        for each in again
        if each.name in ahead and each.state is LandingState.WHOLE and _fingerprint(each) == ahead[each.name]
    )


def _is_ahead(landed: Landed) -> bool:
    return any(change > time.time() + _AHEAD_S for *_, change in _fingerprint(landed))


def _fingerprint(landed: Landed) -> tuple[tuple[str, int, float], ...]:
    """Names, sizes and times of change of all that belongs to a package."""
    found = []
    for member in (*landed.members, *landed.beside):
        for path in (member, *(_inside(member) if member.is_dir() and not member.is_symlink() else ())):
            with contextlib.suppress(FileNotFoundError):
                state = path.lstat()
                found.append((str(path), state.st_size, state.st_ctime))
    return tuple(sorted(found))

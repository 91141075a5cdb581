"""The files of the audit log: appended to by several processes, durable before anybody is told so.

Rows lie in files of 1,024 lines, ``rows/FIRST.jsonl``. Whoever appends holds the folder's lock until the disk has
confirmed; the lock ends with its holder, however that ends. What a killed one left of a line is kept and told of.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from catalogs.policy import audit_row
from catalogs.policy.audit_row import GENESIS, AuditEntry, AuditObject, Draft
from catalogs.private_files import replace
from processing.archive.durable import make_folders, sync_folder
from processing.model.errors import Defect, Retryable

SEGMENT = 1_024
_NAME = re.compile(r"([0-9]{12})\.jsonl")


@dataclass(frozen=True, slots=True)
class Tail:
    """Where the log ends."""

    first: int
    """Number of the first row in the last file."""
    size: int
    """Rows in the log."""
    length: int
    """Bytes of the last file, up to the end of its last whole line."""
    inode: int
    head: bytes
    """Hash of the last row."""
    torn: bytes = b""
    """What stands behind the last whole line."""


class Ledger:
    """The rows of a log. All but reading needs :meth:`held`.

    Parameters
    ----------
    folder
        ``HOME/audit``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.rows = folder, folder / "rows"
        self._seen: Tail | None = None
        self._unsure = False
        self.has_appended = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the log against all other processes and threads."""
        if not self.rows.is_dir():
            make_folders(self.rows)
            self.folder.chmod(0o700)
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def tail(self) -> Tail:
        """Where the log ends now.

        Raises
        ------
        Defect
            ``audit.damaged`` if its last file is not one that was written here.
        """
        seen = self._seen
        if seen is not None and self._is_current(seen):
            return seen
        first = last_segment(self.rows)
        if first is None:
            return Tail(0, 0, 0, 0, GENESIS)
        path = self.path_of(first)
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        lines = content[:whole].count(b"\n")
        head = self._head(first, content[:whole], lines)
        self._seen = Tail(first, first + lines, whole, path.stat().st_ino, head, content[whole:])
        return self._seen

    def settled(self) -> Tail:
        """Where the log ends, once a last row that lacks only its line feed has got it: it is a row all the same."""
        tail = self.tail()
        entry = audit_row.read(tail.torn) if tail.torn else None
        if entry is None or (entry.seq, entry.document["prev_hash"]) != (tail.size, tail.head.hex()):
            return tail
        self._write(tail, b"\n")
        return self.tail()

    def append(self, drafts: Sequence[Mapping[str, Any]]) -> list[AuditEntry]:
        """Append rows; when this returns, they are on the disk.

        Raises
        ------
        Retryable
            ``disk.full``, ``disk.failed`` if the disk did not take them: then none of them is on record.
        Defect
            ``audit.damaged`` if the log's end is not one that was written here.
        """
        if self._unsure:
            raise _damaged(
                self.folder, "the disk failed below it, and it is not known what reached it", "Look at the disk"
            )
        tail = self._mended(self.tail())
        done: list[AuditEntry] = []
        for start in range(0, len(drafts), SEGMENT):
            tail = self._append(tail, drafts[start : start + SEGMENT], done)
        return done

    def lines(self, first: int, stop: int | None = None) -> list[bytes]:
        """Lines of the file that begins with row ``first``, without their line feeds; none if there is no such file.

        Parameters
        ----------
        stop
            Only what lies before this byte.
        """
        try:
            content = self.path_of(first).read_bytes()[:stop]
        except FileNotFoundError:
            return []
        return content.split(b"\n")[:-1]

    def entries(self, start: int = 0) -> Iterator[AuditEntry]:
        """Rows from one on; what cannot be read is left out: verifying tells of it."""
        for first in segments(self.rows):
            if first + SEGMENT > start:
                for line in self.lines(first):
                    found = audit_row.read(line)
                    if found is not None and found.seq >= start:
                        yield found

    def path_of(self, first: int) -> Path:
        """The file that begins with row ``first``."""
        return self.rows / f"{first:012d}.jsonl"

    def _is_current(self, seen: Tail) -> bool:
        try:
            stat = self.path_of(seen.first).stat()
        except FileNotFoundError:
            return False
        full = seen.size == seen.first + SEGMENT
        same = stat.st_size == seen.length and stat.st_ino == seen.inode
        return same and not (full and self.path_of(seen.size).exists())

    def _head(self, first: int, content: bytes, lines: int) -> bytes:
        """Hash of the last row: of the last file, or of the one before if that holds none yet."""
        if lines == 0 and first > 0:
            before = self.lines(first - SEGMENT)
            content, lines, first = b"".join(line + b"\n" for line in before), len(before), first - SEGMENT
        if lines == 0:
            return GENESIS
        entry = audit_row.read(content[:-1].rpartition(b"\n")[2])
        if entry is None or entry.seq != first + lines - 1 or lines > SEGMENT:
            raise _damaged(self.path_of(first), "its last row is not what was written")
        return entry.leaf

    def _append(self, tail: Tail, drafts: Sequence[Mapping[str, Any]], done: list[AuditEntry]) -> Tail:
        room = SEGMENT - (tail.size - tail.first)
        for part in (drafts[:room], drafts[room:]):
            if not part:
                continue
            if tail.size == 0 or tail.size == tail.first + SEGMENT:
                tail = self._new_segment(tail)
            entries, lines, head = [], [], tail.head
            for position, draft in enumerate(part):
                now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                entry, line = audit_row.write(draft, tail.size + position, (now, time.monotonic_ns() // 1_000), head)
                head = entry.leaf
                entries.append(entry)
                lines.append(line)
            content = b"".join(lines)
            self._write(tail, content)
            self.has_appended = True
            tail = Tail(tail.first, tail.size + len(part), tail.length + len(content), tail.inode, head)
            self._seen = tail
            done += entries
        return tail

    def _new_segment(self, tail: Tail) -> Tail:
        path = self.path_of(tail.size)
        try:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            sync_folder(self.rows)
        except OSError as error:
            raise _refused(error, path) from error
        return Tail(tail.size, tail.size, 0, path.stat().st_ino, tail.head)

    def _write(self, tail: Tail, content: bytes) -> None:
        path = self.path_of(tail.first)
        self._seen = None
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            try:
                view = memoryview(content)
                while view:
                    view = view[os.write(descriptor, view) :]
            except OSError as error:
                self._cut_back(descriptor, tail.length)
                raise _refused(error, path) from error
            try:
                os.fdatasync(descriptor)
            except OSError as error:
                # What the disk did not confirm is never confirmed by asking again: the file is made anew.
                self._make_anew(path, tail.length)
                raise _refused(error, path) from error
        finally:
            os.close(descriptor)

    def _cut_back(self, descriptor: int, length: int) -> None:
        try:
            os.ftruncate(descriptor, length)
        except OSError:
            self._unsure = True

    def _make_anew(self, path: Path, length: int) -> None:
        try:
            replace(path, path.read_bytes()[:length])
        except OSError:
            self._unsure = True

    def _mended(self, tail: Tail) -> Tail:
        """The log's end without the part of a line that a killed process left: it is kept beside, and put on record.

        Nobody was told that this line is on record: that is told when the disk has taken it whole.
        """
        if not tail.torn:
            return tail
        path, digest = self.path_of(tail.first), hashlib.sha256(tail.torn).hexdigest()
        replace(self.folder / "torn" / f"{tail.size:012d}-{digest[:16]}.bin", tail.torn)
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, tail.length)
            os.fsync(descriptor)
        except OSError as error:
            raise _refused(error, path) from error
        finally:
            os.close(descriptor)
        clean = Tail(tail.first, tail.size, tail.length, tail.inode, tail.head)
        note = Draft(
            actor="system",
            action="audit.torn",
            objects=(AuditObject(f"torn/{tail.size:012d}", digest),),
            facts={"bytes": str(len(tail.torn))},
        )
        return self._append(clean, [note.document()], [])


def segments(rows: Path) -> list[int]:
    """Numbers of the rows that files begin with."""
    try:
        names = [path.name for path in rows.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))


def last_segment(rows: Path) -> int | None:
    """Number of the row that the last file begins with."""
    return max(segments(rows), default=None)


def _damaged(where: Path, words: str, remedy: str = "qyran audit verify tells where") -> Defect:
    return Defect(
        f"the audit log is damaged: {words}",
        kind="audit.damaged",
        where=str(where),
        remedy=f"{remedy}. Nothing is delivered until it is restored, or moved aside for a new log to begin.",
    )


def _refused(error: OSError, where: Path) -> Retryable:
    return Retryable(
        f"the audit log could not be written: {error.strerror}",
        kind="disk.full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "disk.failed",
        where=str(where),
        remedy="Look at the room on the disk and its health (dmesg, smartctl). Nothing is delivered unrecorded.",
    )

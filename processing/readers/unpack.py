"""Archives of untrusted origin: judged member by member, written by us, never by an ``extractall``.

The same walk serves unpacking and the inventory of an archive, so that both judge alike.
"""

import gzip
import os
import re
import shutil
import stat
import struct
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Protocol

from processing.model.errors import BadInput

MAX_MEMBERS = 10_000
MAX_MEMBER_BYTES = 64 * 2**30
MAX_TOTAL_BYTES = 256 * 2**30
MAX_RATIO = 200.0
"""Unpacked over packed bytes. Real imagery and its XML stay well below; 1,000 is what deflate can do at most."""
HARMLESS_BYTES = 16 * 2**20
"""Below this a ratio does no harm: an empty mask may pack very well."""
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._/() +,=@~-]*$", flags=re.ASCII)
_BLOCK = 2**20
_NESTED = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst")
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, gzip.BadGzipFile, LZMAError, struct.error)


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""
        ...


@dataclass(slots=True)
class Admission:
    """Judges the members of one archive as they pass; counts what really comes out, not what is declared."""

    archive: str
    packed: int
    """Size of the archive, bytes."""
    names: set[str] = field(default_factory=set)
    unpacked: int = 0

    def name(self, name: str) -> str:
        """Admit a member's name.

        Raises
        ------
        BadInput
            ``archive.name``, ``path.escape``, ``archive.nested``, ``archive.duplicate``, ``archive.size``.
        """
        parts = name.split("/")
        if name.startswith("/") or ".." in parts or "\\" in name or re.match(r"^[A-Za-z]:", name) or "\0" in name:
            raise self.refusal(f"names a file outside itself: {name[:120]!r}", "path.escape")
        if (
            len(name) > 1024
            or max(map(len, parts)) > 255
            or not _NAME.match(name)
            or any(part in {"", "."} or part.endswith((".", " ")) for part in parts)
        ):
            raise self.refusal(f"holds a file of an unsafe name: {name[:120]!r}", "archive.name")
        if name.lower().endswith(_NESTED):
            raise self.refusal(f"holds another archive: {name[:120]!r}", "archive.nested")
        folded = _folded(name)
        if folded in self.names:
            raise self.refusal(f"holds {name[:120]!r} twice (case and accents apart)", "archive.duplicate")
        self.names.add(folded)
        if len(self.names) > MAX_MEMBERS:
            raise self.refusal(f"holds more than {MAX_MEMBERS} files", "archive.size")
        return name

    def blocks(self, name: str, stream: Readable, declared: int, packed: int | None) -> Iterator[bytes]:
        """A member's bytes, counted; ends with a check of the declared size.

        Raises
        ------
        BadInput
            ``archive.size``, ``archive.ratio``, ``truncated``.
        """
        done = 0
        while block := self._next(stream):
            done += len(block)
            self.unpacked += len(block)
            if done > MAX_MEMBER_BYTES or self.unpacked > MAX_TOTAL_BYTES or done > declared:
                raise self.refusal(f"unpacks {name!r} to more than it declares or may", "archive.size")
            self._ratio(done, self.packed if packed is None else packed)
            self._ratio(self.unpacked, self.packed)
            yield block
        if done != declared:
            raise self.refusal(f"ends inside {name!r}: {done} of {declared} bytes", "truncated")

    def rest(self, stream: Readable) -> None:
        """Read a packed stream to its end, so that its own checksum is checked too.

        Raises
        ------
        BadInput
            ``archive.ratio``, ``truncated``.
        """
        while block := self._next(stream):
            self.unpacked += len(block)
            self._ratio(self.unpacked, self.packed)

    def _next(self, stream: Readable) -> bytes:
        try:
            return stream.read(_BLOCK)
        except DAMAGE as error:
            raise self.damaged(error) from error

    def damaged(self, error: Exception) -> BadInput:
        """The error for an archive whose bytes are wrong."""
        return self.refusal(f"is cut short or damaged ({error})", "truncated")

    def _ratio(self, unpacked: int, packed: int) -> None:
        if unpacked > HARMLESS_BYTES and unpacked > MAX_RATIO * max(packed, 1):
            raise self.refusal(f"unpacks to more than {MAX_RATIO:.0f} times its size", "archive.ratio")

    def refusal(self, what: str, kind: str) -> BadInput:
        """An error about this archive."""
        remedies = {"truncated": "Transfer it again.", "archive.encrypted": "Ask for it without a password."}
        return BadInput(
            f"the archive '{self.archive}' {what}",
            kind=kind,
            where=self.archive,
            remedy=remedies.get(kind, "Nothing was unpacked. Ask the sender for a clean package."),
        )


def _folded(name: str) -> str:
    """A name as file systems that ignore case and Unicode form see it."""
    return unicodedata.normalize("NFC", name).casefold()


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar archive, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(265)
    packed_tar = head[:3] in (b"\x1f\x8b\x08", b"BZh") or head[:6] == b"\xfd7zXZ\0"
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06") or head[257:262] == b"ustar" or packed_tar


def members(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Names and bytes of an archive's regular files, in stored order, each judged before it is handed out.

    Each member's blocks must be consumed before the next is asked for.

    Raises
    ------
    BadInput
        As :class:`Admission`; ``archive.encrypted``; ``archive.link`` for anything but files and folders;
        ``truncated`` for an archive that is cut short or damaged.
    """
    admission = Admission(archive=path.name, packed=path.stat().st_size)
    with path.open("rb") as file:
        magic = file.read(2)
    try:
        yield from _zip_members(path, admission) if magic == b"PK" else _tar_members(path, admission)
    except DAMAGE as error:
        raise admission.damaged(error) from error


def _zip_members(path: Path, admission: Admission) -> Iterator[tuple[str, Iterator[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS:
            raise admission.refusal(f"holds more than {MAX_MEMBERS} files", "archive.size")
        _refuse_overlaps(infos, admission)
        if len({_folded(info.filename) for info in infos}) != len(infos):
            raise admission.refusal("holds a file twice (case and accents apart)", "archive.duplicate")
        # All names first: a bad last member refuses the whole archive before its first file is read.
        for info in infos:
            mode = info.external_attr >> 16
            if info.flag_bits & 0x1 or info.compress_type == 99:
                raise admission.refusal(f"is encrypted ({info.filename[:120]!r})", "archive.encrypted")
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR) or mode & (stat.S_ISUID | stat.S_ISGID):
                raise admission.refusal(f"holds a link or special file: {info.filename[:120]!r}", "archive.link")
            if not info.is_dir():
                admission.name(info.filename)
            elif ".." in PurePosixPath(info.filename).parts or info.filename.startswith("/"):
                raise admission.refusal(f"names a folder outside itself: {info.filename[:120]!r}", "path.escape")
        for info in infos:
            if not info.is_dir():
                with archive.open(info) as stream:
                    yield (
                        info.filename,
                        admission.blocks(info.filename, stream, info.file_size, max(info.compress_size, 1)),
                    )


def _refuse_overlaps(infos: list[zipfile.ZipInfo], admission: Admission) -> None:
    """Members that share bytes let a small archive unpack without end (Fifield's bomb)."""
    end = 0
    for info in sorted(infos, key=lambda member: member.header_offset):
        if info.header_offset < end:
            raise admission.refusal("has members that overlap", "archive.ratio")
        end = info.header_offset + 30 + len(info.orig_filename.encode()) + info.compress_size


def _tar_members(path: Path, admission: Admission) -> Iterator[tuple[str, Iterator[bytes]]]:
    with tarfile.open(path, mode="r:*", errorlevel=2) as archive:
        for member in archive:
            if member.isdir():
                if ".." in PurePosixPath(member.name).parts or member.name.startswith("/"):
                    raise admission.refusal(f"names a folder outside itself: {member.name[:120]!r}", "path.escape")
                continue
            if not member.isreg() or member.issparse() or member.mode & (stat.S_ISUID | stat.S_ISGID):
                raise admission.refusal(f"holds a link or special file: {member.name[:120]!r}", "archive.link")
            name = admission.name(member.name.removeprefix("./"))
            stream = archive.extractfile(member)
            if stream is None:
                raise admission.refusal(f"cannot be read at {name!r}", "truncated")
            with stream:
                yield name, admission.blocks(name, stream, member.size, None)
        if archive.fileobj is not None:
            admission.rest(archive.fileobj)


def unpack(path: Path, workspace: Path) -> Path:
    """Unpack an archive into a new folder of ``workspace``; on refusal nothing is left behind.

    Parameters
    ----------
    path
        A zip or tar file, the tar possibly packed with gzip, bzip2 or xz.
    workspace
        An existing folder on the disk that shall hold the files.

    Returns
    -------
    Path
        The new folder; when the archive holds one folder only, that folder.

    Raises
    ------
    BadInput
        As :func:`members`; ``archive.empty``.
    """
    staging = Path(tempfile.mkdtemp(prefix="unpack-", dir=workspace)).resolve()
    try:
        for name, blocks in members(path):
            target = staging / name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(target, blocks)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
            raise BadInput(
                f"the archive '{path.name}' names a file and a folder alike", kind="archive.duplicate", where=path.name
            ) from error
        raise
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    entries = list(staging.iterdir())
    if not entries:
        staging.rmdir()
        raise BadInput(f"the archive '{path.name}' holds no files", kind="archive.empty", where=path.name)
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else staging


def _write(target: Path, blocks: Iterator[bytes]) -> None:
    """A new file, never an existing one and never through a link."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for block in blocks:
            file.write(block)

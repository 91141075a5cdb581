"""Fetching a package: what has come is kept, nothing is taken for a file that is not the one that was signed.

The delivery document comes first and its signature is checked with a key that is known beforehand. Then every file is
fetched into ``NAME.part``, from where it was left, and gets its name when its length and SHA-256 are the signed ones.
The delivery document is written last: a folder that has one is whole.
"""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalogs.delivery.order_package import PackagedFile
from catalogs.delivery.package import DELIVERY, Opened, check_package, open_delivery
from catalogs.delivery.package_keys import PublicKey
from pipelines.download_server import TRIES, LinkOver, OrderServer, Served, pause
from processing.archive import durable
from processing.archive.disk_faults import disk_faults
from processing.archive.manifest import fingerprint
from processing.model.errors import BadInput, Defect, Retryable

type Report = Callable[[int, int, str], None]
_PIECE = 1 << 20
_MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A package that is whole and sound."""

    order: str
    folder: Path
    files: int
    bytes: int
    """Of all its files."""
    received: int
    """That came over the network in this run."""
    resumed: int
    """Times that a file was taken up in its middle."""
    key: str
    """Public key that its signature was checked with."""

    def document(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "order": self.order, "folder": str(self.folder), "files": self.files, "bytes": self.bytes,
            "received": self.received, "resumed": self.resumed, "key": self.key, "verified": True,
        }  # fmt: skip


class Download:
    """One order's package on its way.

    Parameters
    ----------
    server
        Where it comes from.
    order
        Its id.
    folder
        Where it goes.
    key
        The key its signature is checked with.
    report
        Called with megabytes received, megabytes in all, and the file.
    """

    def __init__(self, server: OrderServer, order: str, folder: Path, key: PublicKey, report: Report | None) -> None:
        self._server, self._order, self._folder, self._key = server, order, folder, key
        self._report = report or (lambda *_: None)
        self._links: dict[str, Served] = {}
        self._received, self._resumed, self._done, self._total = 0, 0, 0, 0

    def run(self) -> Fetched:
        """Fetch what is missing.

        Raises
        ------
        BadInput
            ``delivery.signature``, ``order.*``, ``download.*``.
        Retryable
            ``download.unavailable`` if the server cannot be reached: what has come is kept; ``disk.full``.
        Defect
            ``download.altered`` if bytes arrive that were not signed, each time anew.
        """
        with disk_faults(self._folder):
            durable.make_folders(self._folder)
            self._links = self._server.files(self._order)
            content = self._server.delivery(self._link(DELIVERY))
            opened = open_delivery(content, self._key)
            if opened.delivered.order.get("id") != self._order:
                raise BadInput("the server gives another order's package", kind="download.other", where=self._order)
            self._total = sum(file.size for file in opened.delivered.files)
            for file in opened.delivered.files:
                self._file(file)
            durable.sync_tree(self._folder)
            durable.write_file(self._folder / DELIVERY, content)
        return Fetched(
            order=self._order, folder=self._folder, files=len(opened.delivered.files), bytes=self._total,
            received=self._received, resumed=self._resumed, key=str(self._key),
        )  # fmt: skip

    def _link(self, path: str) -> Served:
        if path not in self._links:
            raise BadInput(f"the server does not offer {path}", kind="download.gone", where=self._server.origin)
        return self._links[path]

    def _file(self, file: PackagedFile) -> None:
        target = self._folder / file.path
        if target.is_file() and target.stat().st_size == file.size and fingerprint(target) == file.sha256:
            self._done += file.size
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part")
        for _ in range(2):
            if self._fetch(file, part):
                part.replace(target)
                self._done += file.size
                return
            # Whole, and not what was signed: nothing of it can be kept.
            part.unlink(missing_ok=True)
        raise Defect(f"{file.path} arrives altered, each time anew", kind="download.altered", where=self._server.origin,
                     remedy="Something on the way alters bytes: check proxies, and tell the house.")  # fmt: skip

    def _fetch(self, file: PackagedFile, part: Path) -> bool:
        """Bring a file's rest; whether the whole has the signed hash."""
        digest, offset = _begun(part, file.size)
        if offset:
            self._resumed += 1
        barren, refreshed = 0, False
        with part.open("ab") as stream:
            while offset < file.size:
                before = offset
                try:
                    with self._server.opened(self._link(file.path).href, offset, file.sha256) as answer:
                        if offset and answer.status_code == 200:
                            # The server has another file by now, or knows no ranges.
                            stream.truncate(0)
                            digest, offset = hashlib.sha256(), 0
                        _require_rest(answer.headers, answer.status_code, offset, file)
                        for piece in answer.iter_raw(_PIECE):
                            stream.write(piece[: file.size - offset])
                            digest.update(piece[: file.size - offset])
                            offset = min(offset + len(piece), file.size)
                            self._received += len(piece)
                            self._report((self._done + offset) // _MB, self._total // _MB, file.path)
                    refreshed = False
                except LinkOver:
                    if refreshed and offset == before:
                        raise _refused(self._server.origin) from None
                    self._links, refreshed = self._server.files(self._order), True
                    continue
                except Retryable:
                    stream.flush()
                    barren = 0 if offset > before else barren + 1
                    if barren >= TRIES:
                        raise
                    if barren:
                        pause(barren - 1)
                if 0 < offset < file.size:
                    self._resumed += 1
            stream.flush()
            os.fsync(stream.fileno())
        return bool(digest.hexdigest() == file.sha256)


def _refused(origin: str) -> BadInput:
    return BadInput("the server does not let this be fetched (any more)", kind="download.refused", where=origin,
                    remedy="See the order's state: the policy may have changed.")  # fmt: skip


def _begun(part: Path, size: int) -> tuple[Any, int]:
    """What has come of a file before: its hash so far, and how much it is."""
    digest = hashlib.sha256()
    if not part.is_file() or part.stat().st_size > size:
        part.unlink(missing_ok=True)
        return digest, 0
    with part.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest, part.stat().st_size


def _require_rest(headers: Any, status: int, offset: int, file: PackagedFile) -> None:
    """Believe an answer only if it says that it is the rest of this very file: an error page is none."""
    kind = headers.get("content-type", "").partition(";")[0].strip()
    wanted = file.media_type.partition(";")[0].strip()
    told = headers.get("content-range", "") if status == 206 else headers.get("content-length", "")
    right = f"bytes {offset}-{file.size - 1}/{file.size}" if status == 206 else str(file.size)
    if kind != wanted or told != right:
        raise Retryable(
            f"what came for {file.path} is not that file: {kind or 'no type'}, {told or 'no length'}",
            kind="download.not_a_file", remedy="A proxy or a login page may stand before the server.",
        )  # fmt: skip


def fetch_package(
    url: str, token: str | None, order: str, to: Path, *, key: PublicKey | None, report: Report | None = None
) -> Fetched:
    """Fetch an order's package from a server into ``to/ORDER``, or the rest of it.

    Parameters
    ----------
    key
        The key that it must be signed with. None: the one that was pinned when this server was first used, or, the
        first time, the one that it names, which is pinned then.
    """
    with closing(OrderServer(url, token)) as server:
        trusted = key or pinned_key(server)
        return Download(server, order, to.expanduser().absolute() / order, trusted, report).run()


def pins_file() -> Path:
    """Where the keys of servers are pinned, for this user."""
    place = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(place) / "qyran" / "delivery-keys.json"


def pinned_key(server: OrderServer) -> PublicKey:
    """The key of a server as it was first seen; a server that names another one since is not believed."""
    path = pins_file()
    try:
        pins = dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        pins = {}
    except ValueError as error:
        raise BadInput("the file of pinned keys is damaged", kind="download.pins", where=str(path)) from error
    known = pins.get(server.origin)
    if known is None:
        known = str(PublicKey.parse(server.key()))
        durable.write_file(path, json.dumps(pins | {server.origin: known}, indent=1).encode() + b"\n")
    return PublicKey.parse(str(known))


def verify_folder(folder: Path, key: PublicKey | None) -> tuple[Opened, list[dict[str, str]]]:
    """Check a package that lies here against its delivery document. Needs no network.

    Raises
    ------
    BadInput
        ``delivery.missing`` if it has none: it was never whole; ``delivery.signature``.
    """
    try:
        content = (folder / DELIVERY).read_bytes()
    except FileNotFoundError as error:
        raise BadInput("there is no whole package here", kind="delivery.missing", where=str(folder),
                       remedy="Fetch it again: what has come is kept.") from error  # fmt: skip
    opened = open_delivery(content, key)
    return opened, [{"path": finding.path, "what": finding.what} for finding in check_package(folder, opened)]

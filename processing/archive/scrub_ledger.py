"""What was re-hashed when: durable, so that an interrupted scrub goes on and the coverage can be told."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from processing.archive.durable import make_folders, sync_folder
from processing.model.errors import Retryable

_FILE = "ledger.sqlite"
_DAY_S = 86_400.0
_KEPT_DAYS = 800
"""Entries older than this serve no figure."""
_TOGETHER_S = 1.0
"""Notes wait so long for others, so that a thousand small products are not a thousand syncs."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS units (
    collection TEXT, id TEXT, revision TEXT, bytes INTEGER NOT NULL, seen REAL NOT NULL, hashed REAL,
    sound INTEGER, PRIMARY KEY (collection, id, revision)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS units_by_age ON units (hashed);
CREATE TABLE IF NOT EXISTS runs (
    number INTEGER PRIMARY KEY, started REAL NOT NULL, finished REAL, deep INTEGER NOT NULL,
    checked INTEGER, findings INTEGER);
CREATE TABLE IF NOT EXISTS hashings (at REAL NOT NULL, bytes INTEGER NOT NULL, sound INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS hashings_by_time ON hashings (at);
CREATE TABLE IF NOT EXISTS witnesses (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL) WITHOUT ROWID;
"""

_NOTE = (
    "INSERT INTO units VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (collection, id, revision) DO UPDATE SET"
    " bytes = excluded.bytes, seen = excluded.seen, hashed = coalesce(excluded.hashed, hashed),"
    " sound = CASE WHEN excluded.hashed IS NULL THEN sound ELSE excluded.sound END"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One scrub."""

    number: int
    started: float
    """What was hashed since then need not be hashed again."""
    resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of what lies in the archive was re-hashed lately."""

    units: int
    """Revisions of products in the archive."""
    total_bytes: int
    percent_30_days: float
    percent_12_months: float
    never_hashed: int
    oldest_days: float | None
    """Since the unit that waits longest was hashed; None while any never was, or there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """What was re-hashed in one calendar month (UTC)."""

    month: str
    """``2026-04``."""
    units: int
    bytes: int
    unsound: int


class Ledger:
    """The scrub's own book. It is no part of the archive: losing it loses only figures.

    Parameters
    ----------
    folder
        ``HOME/scrub``; created where it is not there. A book that cannot be read is put aside and begun anew.
    clock
        Seconds since 1970.
    """

    def __init__(self, folder: Path, *, clock: float | None = None) -> None:
        make_folders(folder)
        self._path = folder / _FILE
        self._clock = clock
        self.put_aside: Path | None = None
        """Where an unreadable book was put, if one was."""
        try:
            self._connection = self._opened()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise Retryable(f"the scrub's ledger: {error}", kind="scrub.ledger", where=str(self._path)) from error
            self.put_aside = self._path.with_name(f"damaged-{time.time_ns()}.sqlite")
            self._path.rename(self.put_aside)
            for beside in ("-wal", "-shm", "-journal"):
                Path(f"{self._path}{beside}").unlink(missing_ok=True)
            self._connection = self._opened()
        self._pending: list[tuple[tuple[str, str, str], int, float, bool, bool]] = []
        self._due = time.monotonic() + _TOGETHER_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() if self._clock is None else self._clock

    def begin(self, *, deep: bool, anew: bool = False) -> Run:
        """Start a run, or go on with the last deep one if that never ended and is no older than 30 days."""
        if deep and not anew:
            left = self._connection.execute(
                "SELECT number, started FROM runs WHERE deep AND finished IS NULL AND started > ?"
                " AND number = (SELECT max(number) FROM runs WHERE deep)",
                (self.now - 30 * _DAY_S,),
            ).fetchone()
            if left is not None:
                return Run(number=int(left[0]), started=float(left[1]), resumed=True)
        started = self.now
        with self._writing() as connection:
            number = connection.execute("INSERT INTO runs (started, deep) VALUES (?, ?)", (started, deep)).lastrowid
        assert number is not None
        return Run(number=number, started=started, resumed=False)

    def finish(self, run: Run, *, checked: int, findings: int) -> None:
        """End a run that saw the whole archive: what it did not see is forgotten."""
        self._keep()
        oldest = self.now - _KEPT_DAYS * _DAY_S
        with self._writing() as connection:
            connection.execute(
                "UPDATE runs SET finished = ?, checked = ?, findings = ? WHERE number = ?",
                (self.now, checked, findings, run.number),
            )
            connection.execute("DELETE FROM units WHERE seen < ?", (run.started,))
            connection.execute("DELETE FROM hashings WHERE at < ?", (oldest,))
            connection.execute("DELETE FROM runs WHERE finished IS NOT NULL AND started < ?", (oldest,))

    def note(self, key: tuple[str, str, str], size: int, *, hashed: bool, sound: bool) -> None:
        """A unit was seen, and perhaps hashed. ``key`` is collection, id, revision."""
        self._pending.append((key, size, self.now, hashed, sound))
        if time.monotonic() > self._due:
            self._keep()

    def hashed_since(self, key: tuple[str, str, str], moment: float) -> bool:
        """Whether a unit was hashed since a moment, and found sound."""
        found = self._connection.execute(
            "SELECT hashed >= ? AND sound FROM units WHERE collection = ? AND id = ? AND revision = ?", (moment, *key)
        ).fetchone()
        return bool(found and found[0])

    def bears_out(self, path: str, state: tuple[int, int], sha256: str) -> bool:
        """Whether a file that nothing else vouches for is what it was when last looked at.

        One that was written since has another time of writing, and is remembered anew; a disk that loses bits writes
        no time.

        Parameters
        ----------
        path
            Relative to HOME.
        state
            Size, and time of writing in ns.
        """
        known = self._connection.execute(
            "SELECT sha256 FROM witnesses WHERE path = ? AND size = ? AND mtime_ns = ?", (path, *state)
        ).fetchone()
        if known is None:
            with self._writing() as connection:
                connection.execute("INSERT OR REPLACE INTO witnesses VALUES (?, ?, ?, ?)", (path, *state, sha256))
        return known is None or known[0] == sha256

    def longest_waiting(self, share: float) -> Iterator[tuple[str, str, str]]:
        """Keys of the units whose turn it is: never hashed ones first, then the oldest, up to a share of all bytes.

        At least one, where there is any.
        """
        self._keep()
        (total,) = self._connection.execute("SELECT coalesce(sum(bytes), 0) FROM units").fetchone()
        left = share * total
        for *key, size in self._connection.execute(
            "SELECT collection, id, revision, bytes FROM units ORDER BY hashed IS NOT NULL, hashed, collection, id"
        ).fetchall():
            yield key[0], key[1], key[2]
            left -= size
            if left <= 0:
                return

    def coverage(self) -> Coverage:
        """The figures of today."""
        month, year = self.now - 30 * _DAY_S, self.now - 365 * _DAY_S
        count, total, lately, yearly, never, oldest = self._connection.execute(
            "SELECT count(*), coalesce(sum(bytes), 0), coalesce(sum(bytes) FILTER (WHERE hashed > ?), 0),"
            " coalesce(sum(bytes) FILTER (WHERE hashed > ?), 0), count(*) FILTER (WHERE hashed IS NULL), min(hashed)"
            " FROM units",
            (month, year),
        ).fetchone()
        return Coverage(
            units=count,
            total_bytes=total,
            percent_30_days=round(100 * lately / total, 2) if total else 100.0,
            percent_12_months=round(100 * yearly / total, 2) if total else 100.0,
            never_hashed=never,
            oldest_days=None if never or oldest is None else round((self.now - oldest) / _DAY_S, 2),
        )

    def months(self, count: int = 12) -> tuple[Month, ...]:
        """What was hashed in each of the last months in which anything was, newest first."""
        rows = self._connection.execute(
            "SELECT strftime('%Y-%m', at, 'unixepoch') AS month, count(*), sum(bytes), sum(NOT sound) FROM hashings"
            " GROUP BY month ORDER BY month DESC LIMIT ?",
            (count,),
        ).fetchall()
        return tuple(Month(month=row[0], units=row[1], bytes=row[2], unsound=row[3]) for row in rows)

    def close(self) -> None:
        """Keep what was noted, and let go."""
        self._keep()
        self._connection.close()

    def _opened(self) -> sqlite3.Connection:
        new = not self._path.exists()
        connection = sqlite3.connect(self._path, timeout=60, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA quick_check").fetchone()
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        if new:
            sync_folder(self._path.parent)
        return connection

    def _keep(self) -> None:
        """Write down what waits."""
        waiting, self._pending = self._pending, []
        self._due = time.monotonic() + _TOGETHER_S
        if not waiting:
            return
        with self._writing() as connection:
            connection.executemany(
                _NOTE,
                [
                    (*key, size, now, now if hashed else None, sound if hashed else None)
                    for key, size, now, hashed, sound in waiting
                ],
            )
            connection.executemany(
                "INSERT INTO hashings VALUES (?, ?, ?)",
                [(now, size, sound) for _, size, now, hashed, sound in waiting if hashed],
            )

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

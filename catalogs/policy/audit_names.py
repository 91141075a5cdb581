"""Who stands behind the pseudonyms of the audit log: a table beside it that can be erased, as the log cannot."""

import secrets
from datetime import UTC, datetime
from pathlib import Path

from catalogs.private_database import Connections, Schema

_SCHEMA = Schema(
    "audit",
    1,
    """
CREATE TABLE identities (
    actor TEXT PRIMARY KEY, pseudonym TEXT NOT NULL UNIQUE, created INTEGER NOT NULL) STRICT, WITHOUT ROWID;
""",
)
SYSTEM = "system"
"""Not a person: what the installation itself does."""


class Names:
    """Pseudonyms by actor and actors by pseudonym.

    Parameters
    ----------
    folder
        ``HOME/audit``.
    """

    def __init__(self, folder: Path) -> None:
        self._db = Connections(folder / "identities.db", _SCHEMA)

    def pseudonym(self, actor: str) -> str:
        """An actor's pseudonym; a random one the first time, from which nothing leads back but this table."""
        if actor == SYSTEM:
            return SYSTEM
        found = self.known(actor)
        if found is not None:
            return found
        fresh = (actor, f"p_{secrets.token_hex(16)}", int(datetime.now(UTC).timestamp()))
        with self._db.write() as db:
            db.execute("INSERT OR IGNORE INTO identities VALUES (?, ?, ?)", fresh)
            return str(db.execute("SELECT pseudonym FROM identities WHERE actor = ?", (actor,)).fetchone()[0])

    def known(self, actor: str) -> str | None:
        """An actor's pseudonym, if it has one."""
        with self._db.read() as db:
            row = db.execute("SELECT pseudonym FROM identities WHERE actor = ?", (actor,)).fetchone()
        return None if row is None else str(row[0])

    def actors(self) -> dict[str, str]:
        """Actors by pseudonym."""
        with self._db.read() as db:
            return dict(db.execute("SELECT pseudonym, actor FROM identities").fetchall())

    def erase(self, actor: str) -> bool:
        """Forget whose pseudonym it was, for good; whether there was one. The log stays as it is."""
        with self._db.write() as db:
            gone = db.execute("DELETE FROM identities WHERE actor = ?", (actor,)).rowcount
        self._db.forget_for_good()
        return bool(gone)

    def close(self) -> None:
        """Close the table."""
        self._db.close()

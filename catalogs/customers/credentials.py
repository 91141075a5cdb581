"""How customers prove who they are: tokens, sessions, passwords, and identities that somebody else vouches for."""

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from catalogs.customers import secrets_of
from catalogs.customers.accounts import (
    EVERY_SCOPE,
    Account,
    Credential,
    Scope,
    Status,
    Token,
    moment,
    plain_text,
)
from catalogs.customers.register import account_of, party_of, quota_of
from catalogs.policy.terms import Party
from catalogs.private_database import Connections
from processing.model.errors import BadInput

SESSION_TIME = timedelta(hours=8)
LONGEST_TOKEN = timedelta(days=400)
_SIGN_IN_TIME = timedelta(minutes=10)
_SIGN_INS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token, once: only its digest is kept."""

    token: str
    id: str
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """What a sign-in at a provider was begun with."""

    nonce: str
    verifier: str


class Credentials:
    """Nothing here is cached: what was revoked, by whatever process, is refused from the next request on.

    Parameters
    ----------
    connections
        The customers' database.
    """

    def __init__(self, connections: Connections) -> None:
        self._db = connections

    def new_token(
        self, customer: str, label: str, *, days: float = 90, scopes: Collection[Scope] = EVERY_SCOPE
    ) -> NewToken:
        """A token that expires.

        Raises
        ------
        BadInput
            ``customer.token`` for a time that is none or too long, or without a scope.
        """
        if not 0 < days <= LONGEST_TOKEN.days or not scopes:
            raise BadInput(
                f"a token is for something, and for up to {LONGEST_TOKEN.days} days, not {days:g}",
                kind="customer.token",
            )
        label = plain_text(label, "label")
        token, identifier, kept = secrets_of.new_token()
        now = _now()
        expires = now + int(timedelta(days=days).total_seconds())
        with self._db.write() as db:
            found = account_of(db, customer)
            if found.status != Status.ACTIVE:
                raise BadInput(f"{customer} is {found.status}", kind="customer.suspended")
            row = (identifier, found.id, kept, label, " ".join(sorted(scopes)), now, expires)
            db.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", row)
        return NewToken(token=token, id=identifier, expires=datetime.fromtimestamp(expires, UTC))

    def tokens(self, customer: str | None = None) -> tuple[Token, ...]:
        """Tokens of a customer or of all, revoked and expired ones too."""
        with self._db.read() as db:
            if customer is None:
                rows = db.execute("SELECT * FROM tokens ORDER BY created, id")
            else:
                owner = account_of(db, customer).id
                rows = db.execute("SELECT * FROM tokens WHERE customer = ? ORDER BY created, id", (owner,))
            return tuple(_to_token(row) for row in rows)

    def revoke_token(self, identifier: str) -> Token:
        """Revoke a token by its id: the part between the underscores.

        Raises
        ------
        BadInput
            ``customer.token`` if there is none.
        """
        with self._db.write() as db:
            db.execute("UPDATE tokens SET revoked = ? WHERE id = ? AND revoked IS NULL", (_now(), identifier))
            row = db.execute("SELECT * FROM tokens WHERE id = ?", (identifier,)).fetchone()
        if row is None:
            raise BadInput(
                f"there is no token {identifier!r}", kind="customer.token", remedy="qyran customer show lists them."
            )
        return _to_token(row)

    def revoke_all(self, customer: str) -> int:
        """Revoke every token and end every session of a customer; how many there were."""
        with self._db.write() as db:
            owner = account_of(db, customer).id
            ended = db.execute(
                "UPDATE tokens SET revoked = ? WHERE customer = ? AND revoked IS NULL", (_now(), owner)
            ).rowcount
            return int(ended) + int(db.execute("DELETE FROM sessions WHERE customer = ?", (owner,)).rowcount)

    def credential_of_token(self, token: str) -> Credential | None:
        """Whose token it is and what it is for; None if it is none, expired, revoked, or its owner is shut out."""
        parts = secrets_of.split_token(token)
        if parts is None:
            return None
        with self._db.read() as db:
            row = db.execute("SELECT * FROM tokens WHERE id = ?", (parts[0],)).fetchone()
            if row is None or not secrets_of.same(row["hash"], parts[1]):
                return None
            if row["revoked"] is not None or row["expires"] <= _now():
                return None
            return _credential(db, row["customer"], row["id"], _scopes(row["scopes"]), row["expires"])

    def party_of_token(self, token: str) -> Party | None:
        """Whose token it is; None if it is none, expired, revoked, or its owner is shut out."""
        found = self.credential_of_token(token)
        return None if found is None else found.party

    def set_password(self, customer: str, password: str | None) -> None:
        """Set the password for the portal, or take it away; sessions end."""
        kept = None if password is None else secrets_of.hash_password(password)
        with self._db.write() as db:
            found = account_of(db, customer)
            db.execute("UPDATE customers SET password = ? WHERE id = ?", (kept, found.id))
            db.execute("DELETE FROM sessions WHERE customer = ?", (found.id,))

    def check_password(self, name: str, password: str) -> Account | None:
        """Who signs in so; None if nobody. It takes as long where there is no such name."""
        with self._db.read() as db:
            row = db.execute("SELECT id, password, status FROM customers WHERE name = ?", (name,)).fetchone()
        known = row is not None and row["status"] == Status.ACTIVE
        right = secrets_of.is_password(row["password"] if known else None, password)
        if not right:
            return None
        with self._db.read() as db:
            return account_of(db, row["id"])

    def new_session(self, customer: str, method: str) -> str:
        """Begin a session of a customer: the text for the cookie."""
        with self._db.write() as db:
            found = account_of(db, customer)
            if found.status != Status.ACTIVE:
                raise BadInput(f"{customer} is {found.status}", kind="customer.suspended")
            return _begin(db, customer=found.id, method=method)

    def new_session_of_token(self, token: str) -> str | None:
        """Begin a session by a token: for what the token is for, and for as long as it holds. None if it is none."""
        found = self.credential_of_token(token)
        if found is None or found.party is None or found.expires is None:
            return None
        with self._db.write() as db:
            ends = int(found.expires.timestamp())
            return _begin(db, customer=found.party.id, method="token", token=found.id, ends=ends)

    def new_operator_session(self, operator_token: str) -> str:
        """Begin a session of an operator; it lasts no longer than the token by which it was begun is the right one."""
        with self._db.write() as db:
            return _begin(db, operator=secrets_of.digest(operator_token), method="operator")

    def credential_of_session(self, cookie: str) -> Credential | None:
        """Whose session it is; None if it is none, over, or its owner is shut out."""
        with self._db.read() as db:
            row = db.execute("SELECT * FROM sessions WHERE hash = ?", (secrets_of.digest(cookie),)).fetchone()
            if row is None or row["expires"] <= _now():
                return None
            name = row["hash"].hex()[:16]
            if row["operator"] is not None:
                return Credential(party=None, id=name, operator=row["operator"], expires=moment(row["expires"]))
            scopes = EVERY_SCOPE
            if row["token"] is not None:
                token = db.execute("SELECT scopes, revoked FROM tokens WHERE id = ?", (row["token"],)).fetchone()
                if token["revoked"] is not None:
                    return None
                scopes = _scopes(token["scopes"])
            return _credential(db, row["customer"], name, scopes, row["expires"])

    def party_of_session(self, cookie: str) -> Party | None:
        """Whose session it is; None if it is none, over, an operator's, or its owner is shut out."""
        found = self.credential_of_session(cookie)
        return None if found is None else found.party

    def end_session(self, cookie: str) -> None:
        """End a session."""
        with self._db.write() as db:
            db.execute("DELETE FROM sessions WHERE hash = ?", (secrets_of.digest(cookie),))

    def link_identity(self, customer: str, issuer: str, subject: str) -> None:
        """Let one whom a provider knows by ``subject`` come in as a customer."""
        with self._db.write() as db:
            found = account_of(db, customer)
            row = (issuer, plain_text(subject, "subject"), found.id, _now())
            db.execute("INSERT OR REPLACE INTO identities VALUES (?, ?, ?, ?)", row)

    def customer_of_identity(self, issuer: str, subject: str) -> str | None:
        """Id of the customer whom a provider knows by ``subject``."""
        with self._db.read() as db:
            row = db.execute(
                "SELECT customer FROM identities WHERE issuer = ? AND subject = ?", (issuer, subject)
            ).fetchone()
        return None if row is None else str(row[0])

    def credential_of_customer(self, customer: str, identifier: str, expires: int) -> Credential | None:
        """What somebody comes in with for whom a provider has vouched; None if that customer is shut out."""
        with self._db.read() as db:
            return _credential(db, account_of(db, customer).id, identifier, EVERY_SCOPE, expires)

    def begin_sign_in(self, state: str, begun: SignIn) -> None:
        """Keep what a sign-in at a provider was begun with, for ten minutes."""
        now = _now()
        with self._db.write() as db:
            db.execute("DELETE FROM sign_ins WHERE expires <= ?", (now,))
            if db.execute("SELECT count(*) FROM sign_ins").fetchone()[0] >= _SIGN_INS:
                raise BadInput("too many have begun to sign in", kind="sign_in.busy", remedy="Try again in a while.")
            row = (secrets_of.digest(state), begun.nonce, begun.verifier, now + int(_SIGN_IN_TIME.total_seconds()))
            db.execute("INSERT INTO sign_ins VALUES (?, ?, ?, ?)", row)

    def finish_sign_in(self, state: str) -> SignIn | None:
        """What a sign-in was begun with, once: the same state a second time is none."""
        with self._db.write() as db:
            key = (secrets_of.digest(state),)
            row = db.execute("SELECT * FROM sign_ins WHERE hash = ?", key).fetchone()
            db.execute("DELETE FROM sign_ins WHERE hash = ?", key)
        if row is None or row["expires"] <= _now():
            return None
        return SignIn(nonce=row["nonce"], verifier=row["verifier"])


def _begin(
    db: sqlite3.Connection,
    *,
    method: str,
    customer: str | None = None,
    operator: bytes | None = None,
    token: str | None = None,
    ends: int | None = None,
) -> str:
    secret, kept = secrets_of.new_secret()
    now = _now()
    expires = now + int(SESSION_TIME.total_seconds())
    db.execute("DELETE FROM sessions WHERE expires <= ?", (now,))
    row = (kept, customer, operator, method, token, now, expires if ends is None else min(ends, expires))
    db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    return secret


def _credential(
    db: sqlite3.Connection, customer: str, identifier: str, scopes: frozenset[Scope], expires: int
) -> Credential | None:
    party = party_of(db, customer)
    if party is None:
        return None
    quota = quota_of(db, customer)
    officer = bool(db.execute("SELECT officer FROM customers WHERE id = ?", (customer,)).fetchone()[0])
    return Credential(
        party=party, id=identifier, scopes=scopes, officer=officer, per_second=quota.per_second, burst=quota.burst,
        expires=moment(expires),
    )  # fmt: skip


def _scopes(text: str) -> frozenset[Scope]:
    return frozenset(Scope(word) for word in text.split())


def _to_token(row: sqlite3.Row) -> Token:
    return Token(
        id=row["id"],
        customer=row["customer"],
        label=row["label"],
        scopes=_scopes(row["scopes"]),
        created=datetime.fromtimestamp(row["created"], UTC),
        expires=datetime.fromtimestamp(row["expires"], UTC),
        revoked=moment(row["revoked"]),
    )


def _now() -> int:
    return int(datetime.now(UTC).timestamp())

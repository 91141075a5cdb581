"""What is kept of a customer: a copy for the one whom it is about, and its end."""

from typing import Any

from catalogs.customers.accounts import Account, Status, as_json, moment
from catalogs.customers.register import account_of, contracts_of, licences_of, quota_of
from catalogs.customers.usage import usage_of
from catalogs.private_database import Connections

_OF_THE_CUSTOMER = ("sessions", "tokens", "identities")


class Personal:
    """A copy of everything, and erasure.

    Parameters
    ----------
    connections
        The customers' database.
    """

    def __init__(self, connections: Connections) -> None:
        self._db = connections

    def export(self, customer: str) -> dict[str, Any]:
        """Everything that is kept of a customer here, without secrets, for that customer to have."""
        with self._db.read() as db:
            found = account_of(db, customer)
            tokens = db.execute(
                "SELECT id, label, scopes, created, expires, revoked FROM tokens WHERE customer = ?", (found.id,)
            ).fetchall()
            sessions = db.execute(
                "SELECT method, created, expires FROM sessions WHERE customer = ?", (found.id,)
            ).fetchall()
            identities = db.execute(
                "SELECT issuer, subject, created FROM identities WHERE customer = ?", (found.id,)
            ).fetchall()
            return {
                "customer": as_json(found),
                "contracts": as_json(contracts_of(db, found.id)),
                "licences": as_json(licences_of(db, found.id)),
                "quota": as_json(quota_of(db, found.id)),
                "tokens": [_dated(dict(row)) for row in tokens],
                "sessions": [_dated(dict(row)) for row in sessions],
                "identities": [_dated(dict(row)) for row in identities],
                "usage": usage_of(db, found.id),
            }

    def erase(self, customer: str) -> Account:
        """Forget who a customer was, for good.

        Name, names in law, number, address, contracts' notes, who accepted licences, tokens, sessions and identities
        go, and nobody comes in as this customer again. What was used, by class and country, stays under the id, as
        accounts must; the id then leads to nobody. The audit log's table of identities is another store.
        """
        with self._db.write() as db:
            found = account_of(db, customer)
            for table in _OF_THE_CUSTOMER:
                db.execute(f"DELETE FROM {table} WHERE customer = ?", (found.id,))  # noqa: S608 - names of ours
            db.execute("UPDATE contracts SET note = NULL WHERE customer = ?", (found.id,))
            db.execute("UPDATE licences SET accepted_by = 'erased' WHERE customer = ?", (found.id,))
            db.execute(
                "UPDATE customers SET name = ?, region = NULL, legal_name = NULL, tax_id = NULL, email = NULL,"
                " password = NULL, officer = 0, clearance = 0, status = ? WHERE id = ?",
                (f"erased {found.id}", str(Status.ERASED), found.id),
            )
            gone = account_of(db, found.id)
        self._db.forget_for_good()
        return gone


def _dated(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: as_json(moment(value)) if key in ("created", "expires", "revoked") else value
        for key, value in row.items()
    }  # fmt: skip

"""The register of customers: accounts, contracts, licences, quotas, and what policy is told of them."""

import sqlite3
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from catalogs.customers.accounts import (
    AcceptedLicence,
    Account,
    Contract,
    Details,
    Quota,
    Status,
    moment,
    plain_text,
    seconds,
)
from catalogs.customers.secrets_of import new_id
from catalogs.policy.terms import CustomerClass, Party
from catalogs.private_database import Connections
from processing.model.errors import BadInput, Conflict

_QUOTA = tuple(field.name for field in fields(Quota))


class UnknownCustomer(BadInput):
    """There is no such customer."""

    default_kind = "customer.unknown"


class Register:
    """Customers by id or by name; an id is never given twice.

    Parameters
    ----------
    connections
        The customers' database.
    """

    def __init__(self, connections: Connections) -> None:
        self._db = connections

    def add(self, name: str, details: Details) -> Account:
        """Add a customer.

        Raises
        ------
        Conflict
            ``customer.exists`` if another one has that name.
        """
        name, customer = plain_text(name, "name"), f"c_{new_id()}"
        row = {"id": customer, "name": name, "status": str(Status.ACTIVE), "created": _now(), **_of_details(details)}
        with self._db.write() as db:
            _refuse_taken(db, name)
            marks = ", ".join(f":{key}" for key in row)
            db.execute(f"INSERT INTO customers ({', '.join(row)}) VALUES ({marks})", row)  # noqa: S608
            return account_of(db, customer)

    def change(self, customer: str, details: Details) -> Account:
        """Replace what is stated about a customer."""
        with self._db.write() as db:
            found = account_of(db, customer)
            row = _of_details(details)
            changes = ", ".join(f"{key} = :{key}" for key in row)
            db.execute(f"UPDATE customers SET {changes} WHERE id = :id", {**row, "id": found.id})  # noqa: S608
            return account_of(db, found.id)

    def set_status(self, customer: str, status: Status) -> Account:
        """Let somebody in again, or shut everybody out who comes in this one's name: with the next request."""
        if status == Status.ERASED:
            raise BadInput("erasing is done by erase", kind="customer.status")
        with self._db.write() as db:
            found = account_of(db, customer)
            if found.status == Status.ERASED:
                raise BadInput(f"{customer} has been erased", kind="customer.erased")
            db.execute("UPDATE customers SET status = ? WHERE id = ?", (str(status), found.id))
            return account_of(db, found.id)

    def get(self, customer: str) -> Account:
        """A customer by id or name.

        Raises
        ------
        UnknownCustomer
            If there is none.
        """
        with self._db.read() as db:
            return account_of(db, customer)

    def all(self) -> tuple[Account, ...]:
        """All customers, by name."""
        with self._db.read() as db:
            return tuple(_to_account(row) for row in db.execute("SELECT * FROM customers ORDER BY name"))

    def party(self, customer: str, now: datetime | None = None) -> Party:
        """A customer as policy sees it.

        Raises
        ------
        UnknownCustomer
            If there is none, or it may not come in.
        """
        with self._db.read() as db:
            found = party_of(db, account_of(db, customer).id, now)
        if found is None:
            raise UnknownCustomer(f"{customer} is suspended or erased", kind="customer.suspended")
        return found

    def put_contract(self, customer: str, contract: Contract) -> None:
        """Add a contract, or change the one of that number."""
        number = plain_text(contract.number, "number")
        if contract.ends is not None and contract.ends <= contract.starts:
            raise BadInput("a contract ends after it starts", kind="customer.contract")
        row = (number, seconds(contract.starts), seconds(contract.ends), contract.note)
        with self._db.write() as db:
            found = account_of(db, customer)
            db.execute("INSERT OR REPLACE INTO contracts VALUES (?, ?, ?, ?, ?)", (found.id, *row))

    def contracts(self, customer: str) -> tuple[Contract, ...]:
        """All contracts, past ones too."""
        with self._db.read() as db:
            return contracts_of(db, account_of(db, customer).id)

    def accept_licence(self, customer: str, licence: str, version: str, by: str) -> AcceptedLicence:
        """Record that somebody agreed to a licence for a customer. What was accepted first stays on record."""
        values = [plain_text(value, name) for value, name in ((licence, "licence"), (version, "version"), (by, "by"))]
        with self._db.write() as db:
            found = account_of(db, customer)
            db.execute(
                "INSERT INTO licences VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT (customer, licence, version) DO UPDATE"
                " SET accepted = excluded.accepted, accepted_by = excluded.accepted_by, withdrawn = NULL"
                " WHERE withdrawn IS NOT NULL",
                (found.id, values[0], values[1], _now(), values[2]),
            )
            return next(
                one
                for one in licences_of(db, found.id)
                if (one.licence, one.version) == (values[0], values[1])
            )  # fmt: skip

    def withdraw_licence(self, customer: str, licence: str) -> None:
        """End what was agreed to, in every version."""
        with self._db.write() as db:
            found = account_of(db, customer)
            db.execute(
                "UPDATE licences SET withdrawn = ? WHERE customer = ? AND licence = ? AND withdrawn IS NULL",
                (_now(), found.id, licence),
            )

    def licences(self, customer: str) -> tuple[AcceptedLicence, ...]:
        """All licences ever accepted."""
        with self._db.read() as db:
            return licences_of(db, account_of(db, customer).id)

    def set_quota(self, customer: str, quota: Quota) -> None:
        """Set what may be used in a month, and how fast."""
        values = [getattr(quota, name) for name in _QUOTA]
        with self._db.write() as db:
            found = account_of(db, customer)
            db.execute("INSERT OR REPLACE INTO quotas VALUES (?, ?, ?, ?, ?, ?)", (found.id, *values))

    def quota(self, customer: str) -> Quota:
        """What may be used in a month, and how fast."""
        with self._db.read() as db:
            return quota_of(db, account_of(db, customer).id)


def account_of(db: sqlite3.Connection, customer: str) -> Account:
    """A customer by id or name, or ``customer.unknown``. The id goes first: no name can stand before it."""
    row = db.execute("SELECT * FROM customers WHERE id = ?", (customer,)).fetchone()
    row = row or db.execute("SELECT * FROM customers WHERE name = ?", (customer,)).fetchone()
    if row is None:
        raise UnknownCustomer(
            f"there is no customer {customer!r}", remedy="qyran customer list shows them; qyran customer add adds one."
        )
    return _to_account(row)


def party_of(db: sqlite3.Connection, customer: str, now: datetime | None = None) -> Party | None:
    """A customer as policy sees it; None if it may not come in."""
    row = db.execute("SELECT * FROM customers WHERE id = ?", (customer,)).fetchone()
    if row is None or row["status"] != Status.ACTIVE:
        return None
    now = now or datetime.now(UTC)
    licences = {
        name
        for one in licences_of(db, customer)
        if one.withdrawn is None
        for name in (one.licence, f"{one.licence}@{one.version}")
    }
    return Party(
        id=row["id"],
        name=row["name"],
        customer_class=CustomerClass(row["class"]),
        country=row["country"],
        region=row["region"],
        clearance=row["clearance"],
        legal_name=row["legal_name"],
        tax_id=row["tax_id"],
        contract=any(one.holds(now) for one in contracts_of(db, customer)),
        licences=frozenset(licences),
    )


def contracts_of(db: sqlite3.Connection, customer: str) -> tuple[Contract, ...]:
    """Contracts of a customer, the earliest first."""
    rows = db.execute("SELECT * FROM contracts WHERE customer = ? ORDER BY starts, number", (customer,))
    return tuple(
        Contract(
            number=row["number"],
            starts=datetime.fromtimestamp(row["starts"], UTC),
            ends=moment(row["ends"]),
            note=row["note"],
        )
        for row in rows
    )


def licences_of(db: sqlite3.Connection, customer: str) -> tuple[AcceptedLicence, ...]:
    """Licences of a customer, the earliest first."""
    rows = db.execute("SELECT * FROM licences WHERE customer = ? ORDER BY accepted, licence, version", (customer,))
    return tuple(
        AcceptedLicence(
            licence=row["licence"],
            version=row["version"],
            accepted=datetime.fromtimestamp(row["accepted"], UTC),
            accepted_by=row["accepted_by"],
            withdrawn=moment(row["withdrawn"]),
        )
        for row in rows
    )


def quota_of(db: sqlite3.Connection, customer: str) -> Quota:
    """A customer's quota."""
    row = db.execute("SELECT * FROM quotas WHERE customer = ?", (customer,)).fetchone()
    return Quota() if row is None else Quota(**{name: row[name] for name in _QUOTA})


def _refuse_taken(db: sqlite3.Connection, name: str) -> None:
    # A name that looks like an id would be taken for one.
    if name.startswith("c_"):
        raise BadInput("a name cannot begin with c_: ids do", kind="customer.name")
    if db.execute("SELECT 1 FROM customers WHERE name = ?", (name,)).fetchone():
        raise Conflict(
            f"there is a customer {name!r} already", kind="customer.exists", remedy="Take another name for this one."
        )


def _of_details(details: Details) -> Mapping[str, Any]:
    row = {field.name: getattr(details, field.name) for field in fields(Details) if field.name != "customer_class"}
    return {**row, "class": str(details.customer_class), "officer": int(details.officer)}


def _to_account(row: sqlite3.Row) -> Account:
    stated = {field.name: row[field.name] for field in fields(Details) if field.name != "customer_class"}
    return Account(
        id=row["id"],
        name=row["name"],
        details=Details(customer_class=CustomerClass(row["class"]), **{**stated, "officer": bool(row["officer"])}),
        status=Status(row["status"]),
        created=datetime.fromtimestamp(row["created"], UTC),
    )


def _now() -> int:
    return int(datetime.now(UTC).timestamp())

"""Looking into the audit log: rows with the names of those who have not been erased."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from catalogs.customers.register import UnknownCustomer
from catalogs.customers.store import CustomerStore, open_customers
from catalogs.policy.audit import AuditLog
from configs.settings import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows."""

    customer: str | None = None
    """By name or id, or another actor such as ``operator:name``."""
    about: str | None = None
    action: str | None = None
    since: datetime | None = None
    limit: int = 100


def rows(home: Path | None, wanted: Wanted) -> list[dict[str, Any]]:
    """The latest rows that are wanted, the earliest first, each with ``who``: a name, or None for the erased."""
    place = Home.resolve(home).path
    log, customers = AuditLog.open(place), open_customers(place)
    try:
        actor = None if wanted.customer is None else log.pseudonym_of(_id_of(customers, wanted.customer)) or "nobody"
        names = {pseudonym: _name_of(customers, known) for pseudonym, known in log.actors().items()}
        since = None if wanted.since is None else wanted.since.replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%S")
        found = (
            _named(entry.document, names) for entry in log.entries() if _is_wanted(entry.document, wanted, actor, since)
        )
        return list(deque(found, maxlen=wanted.limit))
    finally:
        customers.close()


def _named(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    objects = [
        {**one, "name": names[pseudonym]} if (pseudonym := str(one["id"]).removeprefix("customer/")) in names else one
        for one in row["objects"]
    ]
    return {**row, "objects": objects, "who": names.get(str(row["actor"]))}


def _is_wanted(row: Mapping[str, Any], wanted: Wanted, actor: str | None, since: str | None) -> bool:
    return (
        (actor is None or row["actor"] == actor)
        and (wanted.action is None or row["action"] == wanted.action)
        and (since is None or row["ts"] >= since)
        and (wanted.about is None or any(_names(str(one["id"]), wanted.about) for one in row["objects"]))
    )


def _names(found: str, asked: str) -> bool:
    """Whether an object is the one: its whole id, the id without its collection, or something below it."""
    return found == asked or found.startswith(f"{asked}/") or (f"/{asked}/" in f"/{found}/")


def _id_of(customers: CustomerStore, name: str) -> str:
    try:
        return customers.get(name).id
    except UnknownCustomer:
        return name


def _name_of(customers: CustomerStore, actor: str) -> str:
    try:
        return customers.get(actor).name
    except UnknownCustomer:
        return actor

"""The desk at which operators look after customers: what is changed there is on record."""

import getpass
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

from catalogs.customers.accounts import Account, Status, as_json
from catalogs.customers.register import UnknownCustomer
from catalogs.customers.store import CustomerStore, open_customers
from catalogs.delivery.erasure import erase_orders, orders_of
from catalogs.delivery.link_keys import LinkKeys
from catalogs.delivery.subscriptions_erasure import erase_subscriptions, subscriptions_of
from catalogs.policy.audit import AuditLog
from configs.settings import Home
from configs.sign_in import load_sign_in_config
from pipelines.cli.output import print_json
from processing.model.errors import BadInput


class Desk:
    """Customers and audit log of an installation.

    Parameters
    ----------
    home
        The installation.
    customers
        Its customers.
    json_wanted
        Whether results are shown as JSON.
    """

    def __init__(self, home: Home, customers: CustomerStore, *, json_wanted: bool) -> None:
        self.home, self.customers, self._json = home, customers, json_wanted
        self._audit = AuditLog.open(home.path)

    def record(self, action: str, customer: str, facts: Mapping[str, str]) -> None:
        """Put on record what an operator did to a customer. Rows hold no names: the customer stands as a pseudonym."""
        about = self._audit.alias(customer)
        self._audit.append(f"operator:{getpass.getuser()}", action, [f"customer/{about}"], facts=facts)

    def show(self, document: Mapping[str, Any], plainly: Callable[[], object]) -> None:
        """Show a result."""
        if self._json:
            print_json(as_json(dict(document)))
        else:
            plainly()

    def revoke(self, what: str, *, suspend: bool, restore: bool) -> dict[str, Any]:
        """Revoke a token by its id, or what a customer has; or shut a customer out, or let it in again."""
        try:
            found = self.customers.get(what)
        except UnknownCustomer:
            if suspend or restore:
                raise
            token = self.customers.revoke_token(what)
            self.record("customer.revoked", token.customer, {"token": token.id})
            return {"token": token.id, "customer": token.customer, "words": f"token {token.id} is revoked"}
        if restore:
            self.customers.set_status(found.id, Status.ACTIVE)
            self.record("customer.restored", found.id, {})
            return {"customer": found.id, "status": "active", "words": f"{found.name} may come in again"}
        if suspend:
            self.customers.set_status(found.id, Status.SUSPENDED)
        ended = self.customers.revoke_all(found.id)
        self.customers.revoke_links(customer=found.id)
        self.record("customer.suspended" if suspend else "customer.revoked", found.id, {"ended": str(ended)})
        words = f"{ended} tokens and sessions of {found.name} are revoked, and its open links"
        return {"customer": found.id, "revoked": ended, "suspended": suspend, "words": words}

    def issuer(self) -> str:
        """The provider of ``sign_in.yaml``."""
        oidc = load_sign_in_config(self.home.configs).oidc
        if oidc is None:
            raise BadInput(
                "no provider is set up",
                kind="sign_in.none",
                remedy="Set oidc in HOME/configs/sign_in.yaml, or --issuer.",
            )
        return oidc.issuer

    def renew_link_key(self, *, void: bool) -> dict[str, Any]:
        """Make a new key for signed links, and the earlier one's links void if that is wanted."""
        keys = LinkKeys(self.home.path)
        earlier = keys.current()
        fresh = keys.rotate()
        if void:
            self.customers.revoke_links(key=earlier.id)
        self._audit.append(f"operator:{getpass.getuser()}", "links.key", facts={"key": fresh.id, "void": str(void)})
        return {"key": fresh.id, "earlier": earlier.id, "void": void}

    def export(self, name: str) -> dict[str, Any]:
        """Everything that is kept of a customer, what stands on record of it included."""
        known = self.customers.export(name)
        pseudonym = self._audit.pseudonym_of(known["customer"]["id"])
        rows = [
            dict(entry.document)
            for entry in (self._audit.entries() if pseudonym is not None else ())
            if entry.document["actor"] == pseudonym or _is_about(entry.document, str(pseudonym))
        ]
        orders = [order.model_dump(mode="json") for order in orders_of(self.home.path, str(known["customer"]["id"]))]
        subscribed = subscriptions_of(self.home.path, str(known["customer"]["id"]))
        told = {"orders": orders, "subscriptions": subscribed}
        return {**as_json(known), **told, "audit": {"pseudonym": pseudonym, "rows": rows}}

    def erase(self, name: str) -> Account:
        """Forget who a customer was."""
        found = self.customers.get(name)
        self.customers.revoke_links(customer=found.id)
        # On record first: afterwards nobody could say whose erasure it was, and a row without a name is no secret.
        self.record("customer.erased", found.id, {})
        erase_orders(self.home.path, found.id)
        erase_subscriptions(self.home.path, found.id)
        gone = self.customers.erase(found.id)
        self._audit.erase(found.id)
        return gone


@contextmanager
def desk(home: Path | None, *, as_json: bool, errors: AbstractContextManager[None]) -> Iterator[Desk]:
    """The desk of an installation; its signatures are made when the block ends."""
    with errors:
        place = Home.resolve(home)
        with closing(open_customers(place.path)) as customers:
            opened = Desk(place, customers, json_wanted=as_json)
            yield opened


def _is_about(row: Mapping[str, Any], pseudonym: str) -> bool:
    return any(one["id"] == f"customer/{pseudonym}" for one in row["objects"])

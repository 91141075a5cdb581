"""What operators do with policies: ask them, explain them, try them, put one in force."""

from contextlib import closing
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from catalogs import open_store
from catalogs.customers.store import open_customers
from catalogs.policy.audit import AuditLog
from catalogs.policy.decide import decide, on_terms
from catalogs.policy.load import active_policy, load_policy, policy_file
from catalogs.policy.rules import Policy
from catalogs.policy.simulate import Simulated, invented_parties, simulate
from catalogs.policy.terms import PUBLIC_PARTY, Action, CustomerClass, Party, product_facts
from configs.settings import Home
from processing.archive import durable
from processing.model.errors import BadInput


def party_named(home: Home, customer: str | None, customer_class: str | None) -> Party:
    """A customer of the installation, an invented one of a class, or anybody."""
    if customer is not None:
        with closing(open_customers(home.path)) as customers:
            return customers.party(customers.get(customer).id)
    if customer_class is not None:
        return Party(id="invented", name=f"any {customer_class}", customer_class=CustomerClass(customer_class))
    return PUBLIC_PARTY


def check(home: Home, item: str, party: Party, action: Action, *, as_is: bool) -> dict[str, Any]:
    """What the policy in force says to an action of somebody's on an item of the catalogue.

    Parameters
    ----------
    as_is
        Take the party as it is; else as an order makes it: paid, and with the licences accepted.

    Raises
    ------
    BadInput
        ``item.unknown`` if there is no such item.
    """
    policy = active_policy(home.configs)
    with closing(open_store(home.catalogue)) as store:
        found = store.find_item(item)
    if found is None:
        raise BadInput(f"there is no item '{item}'", kind="item.unknown", remedy="See: qyran search")
    asking = party if as_is else on_terms(party, policy)
    decision = decide(product_facts(found), action, asking, datetime.now(UTC), policy)
    return decision.to_json() | {
        "item": f"{found['collection']}/{found['id']}", "action": action.value, "customer": party.name,
        "class": party.customer_class.value, "assumed": [] if as_is else ["paid", "licences"],
    }  # fmt: skip


def policy_at(home: Home, reference: str) -> Policy:
    """A policy by its file's path or by its name."""
    path = Path(reference)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise BadInput(f"there is no file '{reference}'", kind="policy.unknown")
        return load_policy(path.resolve(), home.configs)
    return load_policy(policy_file(reference, home.configs), home.configs)


def try_out(home: Home, policy: Policy) -> Simulated:
    """What would change if a policy went live, over all items and customers."""
    with closing(open_customers(home.path)) as customers:
        known = tuple(customers.party(account.id) for account in customers.all() if account.status == "active")
    parties = (PUBLIC_PARTY, *known) if known else invented_parties()
    with closing(open_store(home.catalogue)) as store:
        return simulate(store.items(), parties, (active_policy(home.configs), policy), datetime.now(UTC))


def activate(home: Home, name: str) -> Policy:
    """Put a policy in force: running servers follow within seconds.

    Raises
    ------
    BadInput
        ``policy.*`` if it is wrong, or fails a test of its own: then the one in force stays.
    """
    policy = load_policy(policy_file(name, home.configs), home.configs)
    AuditLog.open(home.path).append(
        "operator", "policy.activated", [policy.name], facts={"policy_sha256": policy.sha256}
    )
    path, round_trip = home.configs / "catalogue.yaml", YAML()
    document: Any = (round_trip.load(path) if path.is_file() else None) or {}
    document["policy"] = name
    text = StringIO()
    round_trip.dump(document, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write_file(path, text.getvalue().encode())
    return policy

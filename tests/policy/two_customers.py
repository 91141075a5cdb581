"""A catalogue in which every kind of item is kept from somebody, and two customers and anybody who try to find out."""

import json
import re
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import shapely
from shapely.geometry import box, mapping, shape

from catalogs.customers.accounts import Contract, Details
from catalogs.customers.store import open_customers
from catalogs.policy.terms import CustomerClass
from configs.registry import Registry
from configs.schema.catalogue import CatalogueConfig
from tests.catalogs.test_tiles import items_of
from tests.services.api import ApiServer, api_serving

NAME = "two-customers"
CONFIG = CatalogueConfig(requests_per_second=1e6, burst=1_000_000, policy=NAME)
KINDS = ("open", "coarse", "masked", "foreign", "denied", "delayed", "held", "doubtful", "buried")
HIDDEN = {
    "buyer": ("denied", "delayed", "held", "doubtful", "buried"),
    "akimat": ("foreign", "buried"),
    "anybody": ("foreign", "denied", "delayed", "held", "doubtful", "buried"),
}
"""What each may not know of; a masked item they know, but for its masked part."""
INVENTED = 99
"""Number in the id of an item that is not there."""
POLICY = """
apiVersion: policy/v1
id: two-customers
version: 1
title: Every effect once
attributes: {kind: {property: "test:kind", type: text}}
areas: {secret: {file: areas/two-customers.geojson, buffer_m: 0}}
rules:
  - {id: give, title: whatever is not taken, when: "true", effect: allow}
  - {id: floor, title: coarse, when: kind == coarse, unless: principal.class == gov_domestic, effect: degrade,
     to: {gsd_m: 20, drop_bands: [nir]}}
  - {id: mask, title: masked, when: product intersects areas.secret, effect: degrade, to: {mask: [secret]}}
  - {id: foreign, title: another region, when: kind == foreign, unless: principal.class startswith export, effect: deny}
  - {id: denied, title: denied, when: kind == denied, unless: principal.class == gov_domestic, effect: deny}
  - {id: delayed, title: delayed, when: kind == delayed, unless: principal.class == gov_domestic, effect: delay,
     delay_h: 1000000}
  - {id: held, title: held, when: kind == held, unless: principal.class == gov_domestic, effect: hold, approvals: 2}
  - {id: doubtful, title: no resolution, when: gsd_m is missing, unless: principal.class == gov_domestic, effect: deny}
tests: [{product: {}, party: {class: public}, action: stream, expect: deny}]
"""
PARTIES = {
    "buyer": Details(customer_class=CustomerClass.EXPORT_ALLY, country="UZ"),
    "rival": Details(customer_class=CustomerClass.EXPORT_OTHER, country="DE"),
    "akimat": Details(customer_class=CustomerClass.GOV_DOMESTIC, country="KZ", region="KZ-75"),
}


@dataclass(frozen=True)
class World:
    """A running installation."""

    server: ApiServer
    registry: Registry
    items: dict[str, dict[str, Any]]
    """By kind."""
    clients: dict[str, httpx.Client]
    ids: dict[str, str]
    orders: dict[str, str] = field(default_factory=dict)
    subscriptions: dict[str, str] = field(default_factory=dict)

    @property
    def collection(self) -> str:
        return str(self.items["open"]["collection"])

    def id(self, kind: str) -> str:
        return str(self.items[kind]["id"])

    @property
    def invented(self) -> str:
        return named(self.id("open"), INVENTED)


def named(base: str, number: int) -> str:
    """An id of the same length with other digits in it."""
    return re.sub(r"_[0-9a-f]{8}_", f"_{number:08x}_", base)


def built(archived: Any, home: Path, stack: ExitStack, without: tuple[str, ...] = ()) -> World:
    """An installation with items of all kinds, each with files of its own; or without some, to compare what is said."""
    shutil.copytree(archived.home, home, ignore=shutil.ignore_patterns("catalogue", "customers"))
    base = items_of(archived)[0]
    items = {kind: _clone(home, base, number, files=not without) for number, kind in enumerate(KINDS, 1)}
    _policy(home, items)
    server = stack.enter_context(api_serving(home, config=CONFIG))
    extent = {
        "spatial": {"bbox": [[50.0, 40.0, 90.0, 56.0]]},
        "temporal": {"interval": [["2001-01-01T00:00:00Z", None]]},
    }
    server.store.put_collection({
        "type": "Collection", "id": base["collection"], "stac_version": "1.1.0", "description": "-", "license": "other",
        "links": [], "extent": extent,
    })  # fmt: skip
    for kind in KINDS:
        if kind not in without:
            server.store.put_item(items[kind])
    customers, ids = open_customers(home), {}
    clients = {
        "anybody": stack.enter_context(server.client()),
        "operator": stack.enter_context(server.client(operator=True)),
    }
    for name, details in PARTIES.items():
        ids[name] = customers.add(name, details).id
        customers.put_contract(name, Contract(number=f"N-{name}", starts=datetime(2020, 1, 1, tzinfo=UTC)))
        clients[name] = stack.enter_context(server.client())
        clients[name].headers["Authorization"] = f"Bearer {customers.new_token(name, 'test').token}"
    for client in clients.values():
        client.headers["Accept-Encoding"] = "identity"  # a compressed length goes by the letters of an address
    customers.close()
    return World(server, archived.registry, items, clients, ids)


def _clone(home: Path, base: dict[str, Any], number: int, *, files: bool) -> dict[str, Any]:
    """The same product under another id, some degrees to the east: a kind of item for itself."""
    old, new, collection = str(base["id"]), named(str(base["id"]), number), str(base["collection"])
    if files:
        shutil.copytree(home / "products" / collection / old, home / "products" / collection / new)
    for folder in (home / "archive" / collection).glob(f"*/*/*/{old}") if files else ():
        shutil.copytree(folder, folder.with_name(new))
    item: dict[str, Any] = json.loads(json.dumps(base).replace(old, new))
    kind, east = KINDS[number - 1], 1.5 * (number - 1)
    place = shapely.transform(shape(base["geometry"]), lambda at: at + np.array([east, east / 3]))
    item |= {"geometry": json.loads(shapely.to_geojson(place)), "bbox": list(place.bounds)}
    item["properties"] |= {"test:kind": kind, "title": f"word{kind}", "platform": f"platform-{kind}", "gsd": 1.0}
    if kind == "doubtful":
        item["properties"]["gsd"] = 30.0  # and an asset says one metre
        item["assets"]["red"]["gsd"] = 1.0
    return item


def hidden_ground(item: dict[str, Any], share: float) -> Any:
    """The west of an item."""
    west, south, east, north = shape(item["geometry"]).bounds
    return box(west - 0.01, south - 0.01, west + (east - west) * share, north + 0.01)


def _policy(home: Path, items: dict[str, dict[str, Any]]) -> None:
    folder = home / "configs" / "policies"
    (folder / "areas").mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.yaml").write_text(POLICY)
    (home / "configs" / "catalogue.yaml").write_text(f"policy: {NAME}\n")
    secret = shapely.union(hidden_ground(items["masked"], 1 / 3), hidden_ground(items["buried"], 1.2))
    (folder / "areas" / f"{NAME}.geojson").write_text(json.dumps(mapping(secret)))

"""The installation that ``qyran bench load`` asks: many items, a few real products, fifty customers."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from catalogs import open_store
from catalogs.customers.accounts import Contract, Details
from catalogs.customers.store import open_customers
from catalogs.policy.terms import CustomerClass
from configs.settings import Home
from pipelines.bench import catalogue_items
from processing.model.errors import Defect
from processing.testing.series import write_elevations, write_series

_CLASSES = (CustomerClass.GOV_DOMESTIC, CustomerClass.DOMESTIC, CustomerClass.EXPORT_ALLY, CustomerClass.EXPORT_OTHER)
_SCENES_S = 900.0


@dataclass(frozen=True, slots=True)
class Furnished:
    """What is in the installation."""

    home: Path
    tokens: tuple[str, ...]
    """One of each customer."""
    products: tuple[dict[str, Any], ...]
    """Items with files."""
    known: tuple[tuple[str, str], ...]
    """Collection and id of items without files."""


def furnish(
    folder: Path, *, items: int, scenes: int, customers: int, seed: int, step: Callable[[str], None]
) -> Furnished:
    """Make an installation.

    Raises
    ------
    Defect
        ``bench.load`` if a scene cannot be processed.
    """
    home = Home.resolve(folder / "home")
    home.configs.mkdir(parents=True)
    (home.configs / "catalogue.yaml").write_text("requests_per_second: 1.0e+6\nburst: 1000000\n")
    step(f"{scenes} scenes")
    deliveries = folder / "deliveries"
    deliveries.mkdir()
    packages = write_series(deliveries, scenes)
    write_elevations(home.path / "auxiliary" / "dem")
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "pipelines.bench.flow_job", str(home.path), "0", *map(str, packages)],
        capture_output=True, text=True, check=False, timeout=_SCENES_S,
    )  # fmt: skip
    if done.returncode != 0:
        raise Defect(f"scenes were not processed: {done.stderr.strip()[-400:]}", kind="bench.load")
    with closing(open_store(home.catalogue)) as store:
        products = tuple(store.items())
        step(f"{items:,} items")
        for collection in catalogue_items.collections():
            store.put_collection(collection)
        store.put_items(catalogue_items.items(0, items, seed=seed))
        known = tuple(
            (str(item["collection"]), str(item["id"]))
            for number, item in enumerate(catalogue_items.items(0, items, seed=seed)) if number % 20 == 0
        )  # fmt: skip
    step(f"{customers} customers")
    return Furnished(home.path, _customers(home.path, customers), products, known)


def _customers(home: Path, count: int) -> tuple[str, ...]:
    """Customers of every class with contracts; a token of each."""
    tokens = []
    with closing(open_customers(home)) as store:
        for number in range(count):
            name, kind = f"customer-{number:02d}", _CLASSES[number % len(_CLASSES)]
            domestic = kind in (CustomerClass.GOV_DOMESTIC, CustomerClass.DOMESTIC)
            details = Details(customer_class=kind, country="KZ" if domestic else "UZ")
            store.add(name, details)
            store.put_contract(name, Contract(number=f"N-{number}", starts=datetime(2020, 1, 1, tzinfo=UTC)))
            tokens.append(store.new_token(name, "bench").token)
    return tuple(tokens)

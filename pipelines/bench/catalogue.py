"""``qyran bench catalogue``: ingest and search in the embedded catalogue and in PostgreSQL, of the same items."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

from catalogs import URL_VARIABLE
from configs.settings import Home
from pipelines.bench import catalogue_items, postgres
from pipelines.bench.catalogue_http import Served, serving
from pipelines.bench.catalogue_results import EMBEDDED, PGSTAC, CatalogueBench, Ingested, Searched, Stage
from pipelines.bench.machine import describe_machine
from processing.model.errors import Defect

Progress = Callable[[int, int, str], None]

_LONGEST_S = 4 * 3600
# As one would set a server that has a machine of some gigabytes to itself; what was acknowledged is on the disk.
_SETTINGS = ("shared_buffers=512MB", "effective_cache_size=2GB", "work_mem=32MB", "maintenance_work_mem=128MB",
             "random_page_cost=1.1", "max_wal_size=2GB", "max_connections=60")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueBenchOptions:
    """What to measure; the defaults are the command's."""

    sizes: tuple[int, ...] = (10_000, 100_000)
    """Items in the catalogue, rising: it grows from one to the next."""
    pgstac_most: int = 100_000
    """The largest of them that PostgreSQL is filled to as well; 0: not at all."""
    questions: int = 100
    seed: int = 1


@dataclass(frozen=True, slots=True)
class _Store:
    """A catalogue that is measured."""

    name: str
    home: Path
    url: str | None = None
    cluster: postgres.Cluster | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What its processes are told."""
        clean = {name: value for name, value in os.environ.items() if name != URL_VARIABLE}
        return clean | ({URL_VARIABLE: self.url} if self.url else {})

    def size_bytes(self) -> int:
        """What it takes of the disk."""
        if self.url is not None:
            with closing(psycopg.connect(self.url, autocommit=True)) as connection:
                row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
            return 0 if row is None else int(row[0])
        return sum(path.stat().st_size for path in (self.home / "catalogue").glob("*.sqlite*"))


def run_catalogue_bench(
    folder: Path, how: CatalogueBenchOptions, *, progress: Progress | None = None
) -> CatalogueBench:
    """Measure the stores.

    Parameters
    ----------
    folder
        For the embedded catalogue while it is measured: on the disk that is to be measured. PostgreSQL lies in
        ``/var/tmp``, where its user can reach it.

    Raises
    ------
    Defect
        ``bench.catalogue`` if a part fails, or the two stores give different answers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tell = progress or (lambda _done, _total, _label: None)
    total, done = 2 * len(how.sizes) + 2 * sum(size <= how.pgstac_most for size in how.sizes), 0
    stages = []
    with tempfile.TemporaryDirectory(dir=folder, prefix="catalogue-") as scratch, _stores(Path(scratch), how) as stores:
        before = 0
        for size in sorted(how.sizes):
            here = [store for store in stores if store.name == EMBEDDED or size <= how.pgstac_most]
            ingested = {}
            for store in here:
                tell(done, total, f"{store.name}: {before:,} to {size:,} items")
                ingested[store.name], done = _ingested(store, before, size, how.seed), done + 1
            tell(done, total, f"questions to {size:,} items")
            searched, done = _searched(here, how, Path(scratch)), done + len(here)
            sizes = {store.name: store.size_bytes() for store in here}
            stages.append(Stage(items=size, ingested=ingested, searched=searched, disk_bytes=sizes))
            before = size
        without = None if len(stores) > 1 or how.pgstac_most == 0 else postgres.why_not()
        versions = _versions(stores)
    return CatalogueBench(
        machine=describe_machine(), questions=how.questions, seed=how.seed, versions=versions, stages=tuple(stages),
        without_pgstac=without,
    )  # fmt: skip


@contextmanager
def _stores(scratch: Path, how: CatalogueBenchOptions) -> Iterator[list[_Store]]:
    """The embedded store, and pgstac's where there can be one and one is wanted."""
    with ExitStack() as stack:
        stores = [_Store(EMBEDDED, _home(scratch / EMBEDDED))]
        if min(how.sizes) <= how.pgstac_most and postgres.why_not() is None:
            cluster = stack.enter_context(postgres.running("bench", settings=_SETTINGS))
            stores.append(_Store(PGSTAC, _home(scratch / PGSTAC), cluster.fresh("catalogue"), cluster))
        yield stores


def _home(path: Path) -> Path:
    """An installation that refuses nobody for asking often."""
    home = Home.resolve(path)
    home.configs.mkdir(parents=True)
    (home.configs / "catalogue.yaml").write_text("requests_per_second: 1.0e+6\nburst: 1000000\n")
    return home.path


def _ingested(store: _Store, first: int, last: int, seed: int) -> Ingested:
    cluster = store.cluster
    before = cluster.cpu_s() if cluster else 0.0
    found = _job(store, "ingest", str(first), str(last), str(seed))
    server_s = cluster.cpu_s() - before if cluster else 0.0
    return Ingested(items=last - first, server_cpu_s=server_s, **found)


def _searched(stores: list[_Store], how: CatalogueBenchOptions, scratch: Path) -> dict[str, Searched]:
    """Every question to every store: to itself first, then through servers that take turns."""
    asked = {kind: catalogue_items.questions(kind, how.questions, seed=how.seed) for kind in catalogue_items.KINDS}
    path = scratch / "questions.json"
    path.write_text(json.dumps(asked))
    own = {store.name: _job(store, "search", str(path)) for store in stores}
    answers = [found["answers"] for found in own.values()]
    if any(other != answers[0] for other in answers):
        raise Defect("the stores give different answers to the same questions", kind="bench.catalogue")
    with ExitStack() as stack:
        served = {store.name: stack.enter_context(serving(store.home, store.environment)) for store in stores}
        over = {kind: _in_turns(served, bodies) for kind, bodies in asked.items()}
        peaks = {name: server.peak_rss_bytes() for name, server in served.items()}
    return {
        store.name: Searched(
            store_s=own[store.name]["seconds"],
            server_s={kind: over[kind][store.name] for kind in asked},
            server_peak_rss_bytes=peaks[store.name],
        )
        for store in stores
    }


def _in_turns(served: dict[str, Served], bodies: list[dict[str, Any]]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in served}
    for body in bodies[:5]:
        for server in served.values():
            server.ask(body)
    for body in bodies:
        for name, server in served.items():
            seconds[name].append(server.ask(body))
    return seconds


def _job(store: _Store, action: str, *arguments: str) -> dict[str, Any]:
    result = subprocess.run(  # noqa: S603 - this package's own module
        [sys.executable, "-m", "pipelines.bench.catalogue_job", action, str(store.home), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST_S,
        env=store.environment,
    )
    if result.returncode != 0:
        raise Defect(f"{store.name} failed: {result.stderr.strip()[-600:]}", kind="bench.catalogue", where=action)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def _versions(stores: list[_Store]) -> dict[str, str]:
    import sqlite3

    found = {"qyran": version("qyran"), "SQLite": sqlite3.sqlite_version}
    for store in stores:
        if store.url is not None:
            with closing(psycopg.connect(store.url, autocommit=True)) as connection:
                row = connection.execute("SELECT current_setting('server_version'), PostGIS_Lib_Version()").fetchone()
            found |= dict(zip(("PostgreSQL", "PostGIS"), row or (), strict=True))
            found["pgstac"] = version("pypgstac")
    return found

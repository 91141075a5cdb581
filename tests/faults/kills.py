"""Kill -9 in mid-scene, of everything that can die, many times: no scene is lost, and none is there twice.

Scenes go through a whole installation: ``qyran up`` with its Prefect server and worker, a catalogue in PostgreSQL, and
a Dask scheduler with two workers behind TLS. While they do, one process after the other is killed at a moment drawn by
lot. What restarts them is the installation's own doing; PostgreSQL and Dask's workers are started again as systemd
would. At the end every scene was published once, or its run says why not.

Run at length: ``python -m tests.faults.kills --trials 60 --seed 1 --folder DIR``. A share of it is a test.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from processing.testing.series import write_elevations, write_series
from tests.services import postgres
from tests.services.dask_cluster import DaskCluster, dask_cluster
from tests.services.house import FINAL, House

TARGETS = {"flow": 5, "worker": 4, "dask": 4, "server": 3, "database": 3, "house": 1}
"""What is killed, and its weight in the lot."""
_AHEAD = 3
"""Scenes in the queue or under way at a time."""
_LATEST_S = 3.0
"""After a scene was seen to be computed, the longest until somebody is killed; a small one takes little longer."""


@dataclass
class Outcome:
    """What became of it all."""

    trials: Counter[str] = field(default_factory=Counter)
    """Kills that hit a scene in its midst, by target."""
    states: Counter[str] = field(default_factory=Counter)
    """Final states of the scenes' runs."""
    reasons: list[str] = field(default_factory=list)
    """Of those that were not published at once."""
    taken_up: int = 0
    """Runs that were begun more than once."""
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    """Runs that ended without a product and without a reason, or did not end."""
    seconds: float = 0.0


class Trials:
    """One installation under fire."""

    def __init__(
        self,
        house: House,
        database: postgres.Cluster | None,
        dask: DaskCluster | None,
        seed: int,
        say: Callable[[str], object],
    ) -> None:
        self._house, self._database, self._dask, self._say = house, database, dask, say
        self._lot = random.Random(seed)
        self._runs: dict[str, Path] = {}
        self._waiting: set[str] = set()
        self.outcome = Outcome()

    def run(self, scenes: Sequence[Path], targets: Sequence[str]) -> Outcome:
        """Feed the scenes and kill the targets, one after the other."""
        began = time.monotonic()
        left, victims = list(scenes), list(targets)
        while victims and (left or self._waiting):
            self._feed(left)
            if not self._somebody_works():
                time.sleep(0.2)
                continue
            time.sleep(self._lot.uniform(0.0, _LATEST_S))
            if self._kill(victims[0]):
                self._say(f"{time.monotonic() - began:.0f} s: killed {victims[0]}; {len(victims) - 1} to go")
                self.outcome.trials[victims.pop(0)] += 1
        while left or self._waiting:
            self._feed(left)
            time.sleep(0.5)
            if time.monotonic() - began > 120 + 120 * (len(scenes) + len(targets)):
                self.outcome.silent += sorted(self._waiting)
                break
        self._judge()
        self.outcome.seconds = round(time.monotonic() - began, 1)
        return self.outcome

    def _feed(self, left: list[Path]) -> None:
        for run in tuple(self._waiting):
            if self._house.state(run)["type"] in FINAL:
                self._waiting.discard(run)
        while left and len(self._waiting) < _AHEAD:
            try:
                run = self._house.begin("process-scene", {"package": str(left[0])}, idempotency_key=left[0].name)
            except (httpx.HTTPError, OSError, KeyError, ValueError):
                return  # the server is away; the key sees to it that a second try is the same run
            self._runs[run] = left.pop(0)
            self._waiting.add(run)

    def _somebody_works(self) -> bool:
        """Whether a scene is past its beginning: something of it lies in staging."""
        staging = self._house.home / "staging"
        return any(path.is_dir() and "--" in path.name for path in staging.glob("*")) if staging.is_dir() else False

    def _kill(self, target: str) -> bool:
        if not self._somebody_works():
            return False
        return {
            "flow": lambda: self._shoot(self._house.processes_of_runs(self._waiting)),
            "worker": lambda: self._shoot(self._house.processes(b"\0worker\0start")),
            "server": lambda: self._shoot(self._house.processes(b"\0server\0start")),
            "dask": self._kill_dask,
            "database": self._kill_database,
            "house": self._kill_house,
        }[target]()

    def _shoot(self, processes: Sequence[int]) -> bool:
        if not processes:
            return False
        with suppress(ProcessLookupError):
            os.kill(self._lot.choice(processes), signal.SIGKILL)
            return True
        return False

    def _kill_dask(self) -> bool:
        assert self._dask is not None
        victim = self._lot.choice(self._dask.workers)
        victim.kill()
        victim.wait()
        self._dask.workers.remove(victim)
        self._dask.add_worker()
        return True

    def _kill_database(self) -> bool:
        assert self._database is not None
        self._database.kill()
        time.sleep(self._lot.uniform(0.5, 4.0))
        self._database.start()
        return True

    def _kill_house(self) -> bool:
        self._house.kill()
        self._house.start()
        return True

    def _judge(self) -> None:
        with self._house.prefect() as client:
            for run, package in self._runs.items():
                record = client.get(f"/flow_runs/{run}").json()
                state = record["state"]
                self.outcome.states[f"{state['type']} {state['name']}"] += 1
                self.outcome.taken_up += record["run_count"] > 1
                if state["name"] != "Published":
                    self.outcome.reasons.append(f"{package.name}: {state['name']}: {state['message']}")
                    if state["type"] not in FINAL or not state["message"]:
                        self.outcome.silent.append(package.name)
        self._count()

    def _count(self) -> None:
        """Hold archive against catalogue, and both against what the runs say."""
        from catalogs.store.protocol import SearchRequest
        from configs.settings import Home
        from pipelines.catalogue import store_of

        home = Home(self._house.home)
        records = [path.parent for path in home.products.glob("*/*/product.json")]
        packages = Counter(_package_of(record) for record in records)
        os.environ.update(self._house.environment)
        found = store_of(home).search(SearchRequest(limit=500))
        rows = Counter(str(item["id"]) for item in found.items)
        stores = list(home.archive.glob("*/*/*/*/*/*.zarr"))
        published = {
            package.name for run, package in self._runs.items() if self._house.state(run)["name"] == "Published"
        }
        self.outcome.lost += sorted(published - set(packages))
        self.outcome.lost += sorted(record.name for record in records if record.name not in rows)
        self.outcome.doubled += sorted(
            name for name, count in (packages + rows).items() if count > 1 and name not in rows
        )
        self.outcome.doubled += sorted(name for name, count in rows.items() if count > 1)
        if len(stores) != len(records):
            self.outcome.doubled.append(f"{len(stores)} stores of {len(records)} products")


def _package_of(record: Path) -> str:
    product = json.loads((record / "product.json").read_bytes())
    inputs = product["lineage"]["inputs"]
    return str(next(Path(one["name"]).name for one in inputs if one["role"] == "package"))


def fire(
    folder: Path, *, targets: Sequence[str], scenes: int, seed: int, say: Callable[[str], object] = lambda _: None
) -> Outcome:
    """Set an installation up in a folder, and have it shot at.

    Parameters
    ----------
    targets
        Of the kills, in order.
    scenes
        How many go through.
    """
    house = House(folder / "home")
    write_elevations(house.home / "auxiliary" / "dem")
    packages = write_series(folder / "deliveries", scenes)
    environment: dict[str, str] = {}
    database = cluster = None
    with ExitStack() as stack:
        if "database" in targets:
            database = stack.enter_context(postgres.running(folder))
            environment["QYRAN_CATALOGUE_URL"] = database.fresh("kills")
        if "dask" in targets:
            (folder / "dask").mkdir()
            cluster = stack.enter_context(dask_cluster(folder / "dask"))
            environment |= {
                "QYRAN_COMPUTE": "address",
                "QYRAN_COMPUTE_ADDRESS": cluster.address,
                **{f"QYRAN_COMPUTE_TLS_{name.upper()}": path for name, path in cluster.certificates.config.items()},
            }
        house.environment = environment
        house.start()
        stack.callback(house.stop)
        return Trials(house, database, cluster, seed, say).run(packages, targets)


def drawn(count: int, seed: int) -> list[str]:
    """Targets by lot, each kind at least once."""
    lot = random.Random(seed)
    names, weights = list(TARGETS), list(TARGETS.values())
    found = [*names, *lot.choices(names, weights, k=max(0, count - len(names)))][:count]
    lot.shuffle(found)
    return found


def main() -> int:
    """The long run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--scenes", type=int, default=None, help="default: as many as trials")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    outcome = fire(
        given.folder.resolve(),
        targets=drawn(given.trials, given.seed),
        scenes=given.scenes or max(4, given.trials),
        seed=given.seed,
        say=lambda line: sys.stderr.write(f"{line}\n"),
    )
    sys.stdout.write(json.dumps(vars(outcome), indent=2) + "\n")
    missed = given.trials - outcome.trials.total()
    return 1 if outcome.lost or outcome.doubled or outcome.silent or missed else 0


if __name__ == "__main__":
    sys.exit(main())

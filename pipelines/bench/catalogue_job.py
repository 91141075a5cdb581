"""One part of the catalogue's benchmark, in a process of its own: its figures as JSON on stdout.

``ingest HOME FIRST LAST SEED`` puts items; ``search HOME QUESTIONS`` asks the store itself. ``QYRAN_CATALOGUE_URL``
says whether the store is a server's.
"""

import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import batched
from pathlib import Path
from typing import Any

from catalogs import open_store
from catalogs.api.requests import SearchBody, search_request
from pipelines.bench import catalogue_items

_LOOKS = 20
"""How often memory is looked at."""
_DRAWN = 2_000


def ingest(home: Path, first: int, last: int, seed: int) -> dict[str, Any]:
    """Put items number ``first`` to before ``last``. What it takes to think them up does not count."""
    with closing(open_store(home / "catalogue")) as store:
        for collection in catalogue_items.collections():
            store.put_collection(collection)
        memory: list[int] = []
        drawn = _Drawn()
        cpu, wall = time.process_time(), time.perf_counter()
        store.put_items(drawn.watched(catalogue_items.items(first, last, seed=seed), last - first, memory))
        cpu, wall = time.process_time() - cpu - drawn.cpu_s, time.perf_counter() - wall - drawn.wall_s
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"cpu_s": cpu, "wall_s": wall, "memory_bytes": memory, "peak_rss_bytes": peak}


class _Drawn:
    """Items thought up some thousands at a time, and what that took."""

    cpu_s = 0.0
    wall_s = 0.0

    def watched(self, items: Iterator[dict[str, Any]], count: int, memory: list[int]) -> Iterator[dict[str, Any]]:
        """The items; memory in use is written down on the way."""
        looks, done = max(1, count // _LOOKS), 0
        batches = batched(items, _DRAWN)
        while True:
            cpu, wall = time.process_time(), time.perf_counter()
            batch = next(batches, ())
            self.cpu_s += time.process_time() - cpu
            self.wall_s += time.perf_counter() - wall
            if not batch:
                return
            for item in batch:
                if done % looks == 0:
                    memory.append(_in_use())
                done += 1
                yield item


def _in_use() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def search(home: Path, questions: Path) -> dict[str, Any]:
    """Ask each question once, after one round to warm up; seconds by kind, and a digest of all answers."""
    asked: dict[str, list[dict[str, Any]]] = json.loads(questions.read_text())
    seconds: dict[str, list[float]] = {}
    answers: dict[str, str] = {}
    with closing(open_store(home / "catalogue")) as store:
        for kind, bodies in asked.items():
            seconds[kind], found = [], []
            for body in bodies[:5]:
                store.search(search_request(SearchBody.model_validate(body)))
            for body in bodies:
                began = time.perf_counter()
                page = store.search(search_request(SearchBody.model_validate(body)))
                seconds[kind].append(time.perf_counter() - began)
                found.append([item["id"] for item in page.items])
            answers[kind] = hashlib.sha256(json.dumps(found).encode()).hexdigest()
    return {"seconds": seconds, "answers": answers}


def main() -> None:
    """Do what the arguments say."""
    action, home, *rest = sys.argv[1:]
    if action == "ingest":
        first, last, seed = map(int, rest)
        found = ingest(Path(home), first, last, seed)
    else:
        found = search(Path(home), Path(rest[0]))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()

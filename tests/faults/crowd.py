"""Many at once: processes with threads that publish and catalogue the same scenes, and each other's.

``python -m tests.faults.crowd HOME PROCESSES THREADS SCENES DUPLICATES``: every scene once, and so many more orders for
scenes of the same set, dealt out to all. Each process writes ``HOME-<number>.json``, beside HOME: the errors it met,
and the records.
"""

import json
import os
import random
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask

from configs.settings import Home
from pipelines import describe
from pipelines.catalogue import catalogue_product, is_catalogued
from processing.archive import space
from tests.faults import work


def orders(scenes: int, duplicates: int) -> list[int]:
    """Scene numbers in the order in which they are asked for, the same on every machine."""
    strewn = random.Random(7)
    asked = list(range(1, scenes + 1)) + [strewn.randint(1, scenes) for _ in range(duplicates)]
    strewn.shuffle(asked)
    return asked


def serve(home: Path, threads: int, asked: list[int]) -> dict[str, list[str]]:
    """Do these orders, some at a time, each as the flow does it."""
    known = work.registry()

    def one(number: int) -> tuple[str, str]:
        try:
            product = work.publish(home, work.draft(number), seed=number)
            if not is_catalogued(Home(home), product):
                catalogue_product(product, Home(home), known)
        except Exception:  # noqa: BLE001 - told of, and the test fails
            return traceback.format_exc(), ""
        return "", product.model_dump_json()

    dask.config.set(scheduler="synchronous")
    with ThreadPoolExecutor(threads) as pool:
        ends = list(pool.map(one, asked))
    return {"errors": [error for error, _ in ends if error], "records": [record for _, record in ends if record]}


def main() -> None:
    """Deal the orders out, and wait for all."""
    home, (processes, threads, scenes, duplicates) = Path(sys.argv[1]), map(int, sys.argv[2:])
    describe.validate_item = lambda item: None
    space.RESERVE_BYTES = 0
    asked = orders(scenes, duplicates)
    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            ends = serve(home, threads, asked[number::processes])
            home.with_name(f"{home.name}-{number}.json").write_text(json.dumps(ends))
            os._exit(0)
        children.append(child)
    sys.exit(any(os.waitpid(child, 0)[1] for child in children))


if __name__ == "__main__":
    main()

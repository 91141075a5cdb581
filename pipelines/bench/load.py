"""``qyran bench load``: fifty customers at once, as on a working day, against the real server."""

import http.client
import json
import math
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalogs.api.tiles_layers import native_zoom
from pipelines.bench import catalogue_items
from pipelines.bench.catalogue_http import serving
from pipelines.bench.load_home import Furnished, furnish
from pipelines.bench.load_results import KINDS, Answer, LoadBench
from pipelines.bench.machine import describe_machine

Progress = Callable[[int, int, str], None]
_TIMEOUT_S = 60.0
_ROUNDED_S = 1e-6
_LOOKED_AT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBenchOptions:
    """How much is asked; the defaults are the command's."""

    seconds: float = 300.0
    customers: int = 50
    per_second: float = 20.0
    """Requests of all of them together."""
    items: int = 20_000
    scenes: int = 4
    seed: int = 1


@dataclass(frozen=True, slots=True)
class _Question:
    kind: str
    method: str
    path: str
    body: bytes | None = None


def run_load_bench(folder: Path, how: LoadBenchOptions, *, progress: Progress | None = None) -> LoadBench:
    """Furnish an installation, serve it from a process of its own, and ask.

    Every customer has a connection of its own and asks at moments fixed beforehand, whatever earlier answers took. A
    time runs from that moment: who is kept waiting by an answer that comes late waits for both.

    Parameters
    ----------
    folder
        For the installation, while it is needed.

    Raises
    ------
    Defect
        ``bench.load``, ``bench.catalogue`` if a part does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tell = progress or (lambda _done, _total, _label: None)
    with tempfile.TemporaryDirectory(dir=folder, prefix="load-") as scratch:
        made = furnish(
            Path(scratch), items=how.items, scenes=how.scenes, customers=how.customers, seed=how.seed,
            step=lambda label: tell(0, round(how.seconds), label),
        )  # fmt: skip
        with serving(made.home, dict(os.environ)) as server:
            _warm(server.port, made, how.seed)
            memory = [server.memory_bytes()]

            def watch(done: int, total: int, label: str) -> None:
                if done // _LOOKED_AT_S >= len(memory):
                    memory.append(server.memory_bytes())
                tell(done, total, label)

            answers = _asked(server.port, made, how, watch)
            memory.append(server.memory_bytes())
    return LoadBench(
        machine=describe_machine(), seconds=how.seconds, customers=how.customers, per_second=how.per_second,
        items=how.items, scenes=how.scenes, seed=how.seed, answers=tuple(answers), server_memory_bytes=max(memory),
    )  # fmt: skip


def _warm(port: int, made: Furnished, seed: int) -> None:
    """One question of each kind, uncounted: the server imports what it needs with the first."""
    seen: set[str] = set()
    for question in _questions(made, random.Random(f"{seed}/warm")):  # noqa: S311 - nothing secret
        if question.kind not in seen:
            seen.add(question.kind)
            with closing(_connect(port)) as connection:
                _ask(connection, question, made.tokens[0], 0.0, time.perf_counter())
        if len(seen) == len(KINDS):
            return


def _asked(port: int, made: Furnished, how: LoadBenchOptions, tell: Progress) -> list[Answer]:
    answers: list[Answer] = []
    lock, began = threading.Lock(), time.perf_counter() + 0.5
    pause = how.customers / how.per_second

    def customer(number: int) -> None:
        dice = random.Random(f"{how.seed}/{number}")  # noqa: S311 - nothing secret
        connection, moment = _connect(port), pause * number / how.customers
        for question in _questions(made, dice):
            if moment >= how.seconds - _ROUNDED_S:
                break
            time.sleep(max(0.0, began + moment - time.perf_counter()))
            found = _ask(connection, question, made.tokens[number], moment, began)
            with lock:
                answers.append(found)
            moment += pause
        connection.close()

    threads = [threading.Thread(target=customer, args=(number,), daemon=True) for number in range(how.customers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(1.0)
            done = min(max(time.perf_counter() - began, 0.0), how.seconds)
            tell(round(done), round(how.seconds), "asking")
    return sorted(answers, key=lambda found: found.moment)


def _connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)


def _ask(
    connection: http.client.HTTPConnection, question: _Question, token: str, moment: float, began: float
) -> Answer:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    held = connection.sock is not None
    try:
        try:
            connection.request(question.method, question.path, question.body, headers)
            answer = connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            if not held:
                raise
            # The server hung up on who was silent for some seconds: every client asks again, once.
            connection.close()
            connection.request(question.method, question.path, question.body, headers)
            answer = connection.getresponse()
        first = answer.read(1)
        first_s = time.perf_counter() - began - moment
        size, status = len(first) + len(answer.read()), answer.status
    except (OSError, http.client.HTTPException):
        connection.close()  # it is opened anew with the next question
        first_s, size, status = time.perf_counter() - began - moment, 0, 0
    return Answer(
        kind=question.kind, moment=moment, status=status, first_byte_s=first_s, bytes=size,
        seconds=time.perf_counter() - began - moment, path=question.path,
    )  # fmt: skip


def _questions(made: Furnished, dice: random.Random) -> Iterator[_Question]:
    """What a customer asks, one after the other."""
    kinds, shares = zip(*KINDS.items(), strict=True)
    searches = [
        json.dumps(body).encode()
        for kind in catalogue_items.KINDS for body in catalogue_items.questions(kind, 20, seed=dice.randrange(10**6))
    ]  # fmt: skip
    while True:
        kind = dice.choices(kinds, shares)[0]
        product = dice.choice(made.products)
        name = f"{product['collection']}/{product['id']}"
        match kind:
            case "search":
                yield _Question(kind, "POST", "/stac/search", dice.choice(searches))
            case "item":
                collection, item = dice.choice(made.known)
                yield _Question(kind, "GET", f"/stac/collections/{collection}/items/{item}")
            case "thumbnail":
                file = Path(product["assets"]["thumbnail"]["href"]).name
                yield _Question(kind, "GET", f"/download/{name}/thumbnail/{file}")
            case "tile":
                yield _Question(kind, "GET", f"/tiles/{name}/visual/{_tile(product, dice)}.webp")
            case "quote":
                yield _Question(kind, "POST", "/orders/quote", json.dumps({"items": [name]}).encode())
            case _:
                yield _Question(kind, "GET", "/orders")


def _tile(item: dict[str, Any], dice: random.Random) -> str:
    """A tile that shows something of an item, at any zoom that a map would ask for."""
    west, south, east, north = item["bbox"] if len(item["bbox"]) == 4 else (*item["bbox"][:2], *item["bbox"][3:5])
    finest = native_zoom(item, item["assets"], ())
    zoom = dice.randint(max(finest - 5, 0), finest)
    lon, lat = dice.uniform(west, east), math.radians(dice.uniform(south, north))
    side = 2**zoom
    return f"{zoom}/{int((lon + 180) / 360 * side)}/{int((1 - math.asinh(math.tan(lat)) / math.pi) / 2 * side)}"

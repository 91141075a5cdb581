"""Publishing on S3 while requests fail, publishers are killed, and others publish the same: whole, or invisible."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from processing.archive.objects import Place
from processing.archive.remote import publish_remote, published_remote
from processing.archive.remote_check import check_remote
from processing.archive.remote_layout import read_latest
from processing.archive.remote_objects import Room
from processing.archive.write import publish_product
from processing.model.errors import Retryable
from tests.archive import synthetic
from tests.services.proxy import FAULTS, fault_proxy, from_then_on, once

pytestmark = pytest.mark.services

EVERY_REQUEST = os.environ.get("QYRAN_FAULTS") == "all"
"""Each fault at each request in turn, some 500 of them: a few minutes."""
REQUESTS = 52
"""That a publication of the product below makes, or a few more."""
WINNERS, LOSERS = {"published", "finished"}, {"adopted", "present"}
PUBLISHER = Path(__file__).with_name("remote_publisher.py")
AT_ONCE = 4


def make(home: Path, *, item="KZ1_20260424T052011_00000000_L1C", seed=1):
    image = synthetic.image(synthetic.values((40, 50), 1, seed), synthetic.geobox((40, 50)), ("pan",), group="pan")
    return publish_product(home, synthetic.draft(("pan",), visual=("pan",), item=item), [image])


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """One installation, and copies of it that publish without waiting for each other; and its product."""
    first = tmp_path_factory.mktemp("home")
    product = make(first)
    copies = [tmp_path_factory.mktemp("copies") / str(number) for number in range(AT_ONCE - 1)]
    for copy in copies:
        shutil.copytree(first, copy, symlinks=True)
    return [first, *copies], product


@pytest.fixture(autouse=True)
def _keys(s3, monkeypatch):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def impatient(monkeypatch):
    """As patient as otherwise in number, not in time."""
    quick = {
        "max_retries": 2,
        "backoff": {"init_backoff": timedelta(milliseconds=10), "max_backoff": timedelta(milliseconds=50), "base": 2},
    }
    monkeypatch.setattr("processing.archive.objects._RETRIES", quick)
    for module in ("remote_objects", "remote_send"):
        monkeypatch.setattr(f"processing.archive.{module}.WAITS_S", (0.01, 0.02, 0.05))


def is_whole_or_invisible(place: Place, product) -> bool:
    """Whether it is whole; it may not be half there."""
    there = published_remote(place, product.collection, product.id, revision=product.revision)
    if there is None:
        assert published_remote(place, product.collection, product.id) is None
        return False
    assert there == product
    assert check_remote(place, product, deep=True) == []
    return True


def sample(every: int, count: int = REQUESTS, *, first: int = 0) -> list[int]:
    return list(range(count)) if EVERY_REQUEST else list(range(first, count, every))


@pytest.mark.parametrize("fault", FAULTS)
def test_one_spoiled_request_costs_nothing(fault, homes, s3, impatient):
    bucket = s3.new_bucket()
    numbers = sample(9, first=FAULTS.index(fault) % 9) + ([] if EVERY_REQUEST else [46, 47, 48, 49, 50])

    def trial(lane: int) -> int:
        home, product = homes[0][lane], homes[1]
        spoiled = 0
        with fault_proxy(s3.endpoint) as proxy:
            for number in numbers[lane::AT_ONCE]:
                proxy.restart(once(fault, number))
                url = f"s3://{bucket}/{fault.replace(',', '')}/{number}"
                there = publish_remote(home, product, Place.of(url, endpoint=proxy.endpoint, timeout_s=1))
                assert there.outcome in WINNERS | LOSERS
                spoiled += len(proxy.spoiled)
                assert is_whole_or_invisible(Place.of(url), product)
        return spoiled

    with ThreadPoolExecutor(AT_ONCE) as lanes:
        assert sum(lanes.map(trial, range(AT_ONCE))) >= len(numbers) - 3


@pytest.mark.parametrize("fault", ["answer 503", "reset", "done, answer lost", "done, answer 500"])
def test_a_server_that_goes_away_leaves_nothing_half_seen_and_the_next_start_finishes(fault, homes, s3, impatient):
    bucket = s3.new_bucket()
    numbers = sample(10) + ([] if EVERY_REQUEST else [47, 48, 49, 50])

    def trial(lane: int) -> Counter[str]:
        home, product = homes[0][lane], homes[1]
        ends: Counter[str] = Counter()
        with fault_proxy(s3.endpoint) as proxy:
            for number in numbers[lane::AT_ONCE]:
                proxy.restart(from_then_on(fault, number))
                place = Place.of(f"s3://{bucket}/{fault.replace(',', '')}/{number}", endpoint=proxy.endpoint)
                acknowledged = False
                with suppress(Retryable):  # any other error fails the test
                    publish_remote(home, product, place)
                    acknowledged = True
                proxy.restart(lambda *_: None)
                whole = is_whole_or_invisible(place, product)
                assert whole or not acknowledged
                ends[f"then {publish_remote(home, product, place).outcome}"] += 1
                assert is_whole_or_invisible(place, product)
                assert publish_remote(home, product, place).outcome == "present"
        return ends

    with ThreadPoolExecutor(AT_ONCE) as lanes:
        ends = sum(lanes.map(trial, range(AT_ONCE)), Counter())
    assert ends["then finished"] > 1
    assert ends["then published"] + ends["then finished"] + ends["then present"] + ends["then adopted"] == len(numbers)


def run(jobs: list[dict], started=lambda pids: None) -> list[dict]:
    """Run publishers, each in a process of its own, all at once."""
    with subprocess.Popen(
        [sys.executable, str(PUBLISHER), json.dumps(jobs)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        started(json.loads(process.stdout.readline()))
        said, _ = process.communicate("\n", timeout=300)
    assert process.returncode == 0
    return [json.loads(line) for line in said.splitlines()]


def job(home: Path, place: Place, items, later_s=0) -> dict:
    return {
        "home": str(home), "url": place.url, "endpoint": place.endpoint, "items": list(items), "later_s": later_s,
    }  # fmt: skip


def test_a_publisher_killed_in_mid_request_is_all_or_nothing(homes, s3, tmp_path):
    """By ``kill -9`` from the other end of its connection, half a request's body sent."""
    product, bucket = homes[1], s3.new_bucket()
    numbers = sample(6, first=1) + ([] if EVERY_REQUEST else [45, 46, 47, 48])
    with ExitStack() as stack:
        proxies = [stack.enter_context(fault_proxy(s3.endpoint, once("kill", number))) for number in numbers]
        copies = [tmp_path / str(number) for number in numbers]
        for copy in copies:
            shutil.copytree(homes[0][0], copy, symlinks=True)
        places = [
            Place.of(f"s3://{bucket}/{number}", endpoint=proxy.endpoint)
            for number, proxy in zip(numbers, proxies, strict=True)
        ]

        def armed(pids: list[int]) -> None:
            for proxy, pid in zip(proxies, pids, strict=True):
                proxy.victim = pid

        items = [(product.collection, product.id)]
        ends = run([job(copy, place, items) for copy, place in zip(copies, places, strict=True)], armed)
    killed = [end["status"] == signal.SIGKILL for end in ends]
    assert sum(killed) >= len(numbers) - 4
    outcomes = Counter()
    for copy, place, dead in zip(copies, places, killed, strict=True):
        there = Place.of(place.url)
        whole = is_whole_or_invisible(there, product)
        assert whole or dead
        outcomes[publish_remote(copy, product, there).outcome] += 1
        assert is_whole_or_invisible(there, product)
    assert outcomes["finished"] > len(numbers) // 2


def test_of_racing_publishers_one_wins_and_the_others_adopt(homes, s3):
    """Four machines made the same product at four times."""
    product = homes[1]
    for _ in range(2):
        place = Place.of(f"s3://{s3.new_bucket()}/archive", endpoint=s3.endpoint)
        items = [(product.collection, product.id)]
        ends = run([job(home, place, items, later_s=60 * number) for number, home in enumerate(homes[0])])
        assert [end["status"] for end in ends] == [0] * AT_ONCE
        outcomes = Counter(end["ends"][0][1] for end in ends)
        assert sum(outcomes[name] for name in WINNERS) == 1, outcomes
        assert set(outcomes) <= WINNERS | LOSERS
        records = {end["ends"][0][2] for end in ends}
        assert len(records) == 1
        there = published_remote(place, product.collection, product.id)
        assert there is not None
        assert records == {there.model_dump_json()}
        assert check_remote(place, product, deep=True) == []
        assert read_latest(Room(place), product.collection, product.id).history == (product.revision,)


def test_twenty_scenes_published_two_hundred_times_are_twenty_products(s3, tmp_path):
    """From four machines at once, each in an order of its own, over one tile."""
    first = tmp_path / "0"
    products = [make(first, item=f"KZ1_20260424T0520{number:02}_00000000_L1C", seed=number) for number in range(20)]
    for number in range(1, AT_ONCE):
        shutil.copytree(first, tmp_path / str(number), symlinks=True)
    place = Place.of(f"s3://{s3.new_bucket()}/archive", endpoint=s3.endpoint)
    jobs = []
    for number in range(AT_ONCE):
        items = [(product.collection, product.id) for product in products] * 3
        random.Random(number).shuffle(items)
        jobs.append(job(tmp_path / str(number), place, items[:50]))
    ends = run(jobs)
    assert [end["status"] for end in ends] == [0] * AT_ONCE
    outcomes = [(item, outcome) for end in ends for item, outcome, _ in end["ends"]]
    assert len(outcomes) == 200
    assert {outcome for _, outcome in outcomes} <= WINNERS | LOSERS
    asked = {item for item, _ in outcomes}
    assert Counter(item for item, outcome in outcomes if outcome in WINNERS) == dict.fromkeys(asked, 1)
    room = Room(place)
    for product in products:
        assert (product.id in asked) == is_whole_or_invisible(place, product)
    assert len(room.folders("products/kazeosat-1-l1c")) == len(asked)
    assert sum(key.endswith(".zarr/manifest.json") for key in room.sizes("archive")) == len(asked)

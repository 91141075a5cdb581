"""Ingest, duplicate, reprocess, publish, delete, flip, crash, recover in any order: the promises hold after each step.

``QYRAN_FAULTS=N`` plays N games instead of CI's number.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from configs.settings import Home
from pipelines.verify import verify
from tests.faults import syscalls, witness, work
from tests.faults.counts import COUNTS
from tests.faults.servers import Servers
from tests.faults.syscalls import every_call

GAMES_IN_CI = 10
STEPS = 20
NUMBERS = (1, 2)
REVISIONS = ("cubic", "bilinear")
pytestmark = pytest.mark.skipif(not syscalls.available(), reason="this kernel lets no process fail another's calls")

scenes = st.sampled_from(NUMBERS)
revisions = st.sampled_from(REVISIONS)


class Archive(RuleBasedStateMachine):
    """An operator, customers' packages and bad luck, against one home."""

    servers: Servers
    folder: Path
    known: dict[str, witness.Reference]

    @initialize()
    def begin(self) -> None:
        self.home = Path(tempfile.mkdtemp(dir=self.folder)) / "home"
        self.home.mkdir()
        self.acknowledged: dict[int, str] = {}
        """Scene -> the revision that must be there, because the archive said so."""
        self.unsure: dict[int, set[str]] = {}
        """Scene -> revisions whose publication was interrupted: they may be there."""
        self.at_rest = True

    def teardown(self) -> None:
        if hasattr(self, "home"):
            shutil.rmtree(self.home.parent, ignore_errors=True)

    def order(self, step: str, **order: Any) -> dict[str, Any]:
        return self.servers.ask({"step": step, "home": str(self.home), **order})

    @rule(number=scenes, revision=revisions)
    def ingest(self, number: int, revision: str) -> None:
        """A package: new, given again, or processed anew with other parameters."""
        answer = self.order("ingest", number=number, resampling=revision)
        assert answer["ended"] == "done", answer
        self.acknowledged[number] = answer["said"][0]
        self.unsure.pop(number, None)

    @rule(number=scenes, revision=revisions)
    def publish_only(self, number: int, revision: str) -> None:
        """The archive has it, and the catalogue is to come."""
        answer = self.order("publish", number=number, resampling=revision)
        assert answer["ended"] == "done", answer
        if self.acknowledged.get(number) != answer["said"][0]:
            self.acknowledged.pop(number, None)
            self.unsure[number] = {answer["said"][0]}
            self.at_rest = False

    @rule(number=scenes)
    def other_bytes(self, number: int) -> None:
        """The same identifier with another package is refused where it stands for one, and changes nothing."""
        if number not in self.acknowledged:
            return
        before = _digests(self.home)
        answer = self.order("publish", number=number, package="cd")
        assert answer["ended"] == "Conflict id.conflict", answer
        assert _digests(self.home) == before

    @rule(number=scenes)
    def delete(self, number: int) -> None:
        """An operator takes a product out."""
        if number in self.acknowledged:
            assert self.order("delete", number=number)["ended"] == "done"
            del self.acknowledged[number]
            self.unsure.pop(number, None)

    @rule(
        number=scenes, revision=revisions, place=st.integers(1, 480) | st.integers(1, 40),
        effect=st.sampled_from([("kill", 5), ("error", 5), ("dead", 28), ("dead", 30), ("error", 24)]),
    )  # fmt: skip
    def crash(self, number: int, revision: str, place: int, effect: tuple[str, int]) -> None:
        """A run that something stops."""
        fault = {"number": place, "effect": effect[0], "error": effect[1], "among": sorted(every_call())}
        answer = self.order("ingest", number=number, resampling=revision, fault=fault)
        assert not answer["ended"].startswith(("unexpected", "hung")), answer
        if answer["hit"]:
            COUNTS[f"injected {effect[0]} in games"] += 1
            self.at_rest = False  # also where nobody noticed: a lock's file may not have gone
        if answer["ended"] == "done":
            self.acknowledged[number] = _revision(number, revision)
            self.unsure.pop(number, None)
        else:
            self.unsure.setdefault(number, set()).add(_revision(number, revision))
            self.at_rest = False

    @rule()
    def recover(self) -> None:
        """What every start does."""
        answer = self.order("recover")
        assert answer["ended"] == "done", answer
        assert self.order("recover")["said"] == [], "a second recovery found something"
        self.at_rest = True

    @precondition(lambda self: self.at_rest and self.acknowledged)
    @rule(share=st.floats(0, 1), bit=st.integers(0, 7))
    def rot(self, share: float, bit: int) -> None:
        """A bit turns over: the scrub names the object, and finds nothing once it is mended."""
        files = [path for part in ("archive", "products") for path in witness.files_under(self.home / part)]
        files = [path for path in files if path.name not in ("collection.json", "item.json", "iso19139.xml")]
        victim = files[int(share * (len(files) - 1))]
        content = bytearray(victim.read_bytes())
        place = int(share * (len(content) - 1))
        content[place] ^= 1 << bit
        victim.write_bytes(content)
        found = verify(Home(self.home), deep=True, anew=True)
        assert victim.relative_to(self.home).as_posix() in {finding.object for finding in found.findings}
        COUNTS["injected flipped bit"] += 1
        content[place] ^= 1 << bit
        victim.write_bytes(content)
        assert verify(Home(self.home), deep=True, anew=True).ok

    @invariant()
    def promises_hold(self) -> None:
        if not hasattr(self, "home"):
            return
        broken = witness.faults_of(self.home, self.known, at_rest=self.at_rest)
        assert broken == []
        rows = witness.rows(self.home)
        for number, revision in self.acknowledged.items():
            what = work.draft(number)
            row = rows.get((what.collection, what.id))
            lost = row is None or row["properties"]["version"] not in {revision} | self.unsure.get(number, set())
            COUNTS["lost"] += lost
            assert not lost, f"acknowledged, and not in the catalogue: {what.id} {revision}"
            COUNTS["checked acknowledgements"] += 1


def _revision(number: int, resampling: str) -> str:
    return work.write.revision_of(work.draft(number, resampling=resampling))


def _digests(home: Path) -> dict[str, str]:
    """Everything a reader may see, but SQLite's own bookkeeping."""
    parts = ("archive", "products")
    return {str(path): witness.sha256(path) for part in parts for path in witness.files_under(home / part)}


@pytest.fixture
def known(servers: Servers, fast_folder: Path) -> dict[str, witness.Reference]:
    """All revisions that a game can make, as they come out where nothing goes wrong."""
    found = {}
    for number in NUMBERS:
        for revision in REVISIONS:
            home = fast_folder / f"peace-{number}-{revision}"
            answer = servers.ask({"step": "ingest", "home": str(home), "number": number, "resampling": revision})
            assert answer["ended"] == "done", json.dumps(answer)
            what = work.draft(number)
            reference = witness.reference(home, what.collection, what.id)
            found[reference.revision] = reference
    return found


def test_the_promises_hold_whatever_happens_in_whatever_order(servers, fast_folder, known):
    class Game(Archive):
        pass

    Game.servers, Game.folder, Game.known = servers, fast_folder, known
    asked = os.environ.get("QYRAN_FAULTS", "")
    games = int(asked) if asked.isdecimal() else 200 if asked else GAMES_IN_CI
    run_state_machine_as_test(
        Game,
        settings=settings(
            max_examples=games, stateful_step_count=STEPS, deadline=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip

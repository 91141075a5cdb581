"""The landing zone: what is whole is taken once, whatever happens meanwhile; what is not is left alone."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from configs.landing import load_landing
from configs.schema.landing import LandingConfig
from configs.settings import Home
from pipelines.journal import read_events
from pipelines.landing import Landed, LandingState, scan_landing
from pipelines.landing_claims import Claim, claim_package, claims, record_outcome, save
from pipelines.landing_runs import RunState
from pipelines.outcomes import PackageOutcome
from processing.model.quality import Outcome

if TYPE_CHECKING:
    from pipelines.landing_runs import Runs as AnyRuns
    from pipelines.watch import WatchReport

# Prefect wants to be told how to behave before anything imports it: by this fixture, and not while tests are collected.
pytestmark = pytest.mark.usefixtures("prefect")
STABLE = LandingConfig(stable_seconds=100, incomplete_minutes=10)
AT_ONCE = LandingConfig(stable_seconds=0)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = Home.resolve(tmp_path / "home")
    place.landing.mkdir(parents=True)
    return place


def package(home: Home, name: str = "scene", files: int = 3) -> Path:
    folder = home.landing / name / "inner"
    folder.mkdir(parents=True)
    for number in range(files):
        (folder / f"part{number}.bin").write_bytes(name.encode() * (number + 1))
    return home.landing / name


def one(home: Home, rules: LandingConfig = STABLE, after: float = 0.0) -> Landed:
    (found,) = scan_landing(home, rules, now=time.time() + after)
    return found


def whole(home: Home, rules: LandingConfig = STABLE, after: float = 0.0) -> bool:
    return one(home, rules, after).state is LandingState.WHOLE


class Runs:
    """In the place of Prefect: keeps the attempts, and ends them as a test says."""

    def __init__(self, home: Home, ends: Outcome | None = None, *reasons: str) -> None:
        self.home, self.ends, self.reasons = home, ends, reasons
        self.keys: list[str] = []
        self.state = RunState.LIVE

    def __call__(self, claim: Claim) -> RunState:
        if claim.key not in self.keys:
            self.keys.append(claim.key)
        if self.ends is not None:
            self.end(claim)
        return self.state

    def end(self, claim: Claim) -> None:
        assert self.ends is not None
        outcome = PackageOutcome(package=str(claim.package(self.home)), outcome=self.ends, reasons=self.reasons)
        record_outcome(self.home, outcome)


def look(home: Home, rules: LandingConfig, runs: "AnyRuns") -> "WatchReport":
    """One look, as the flow takes it."""
    from pipelines.watch import look as taken

    return taken(home, rules, runs)


def states(report: "WatchReport") -> list[str]:
    return [seen.state for seen in report.packages]


def empty(home: Home) -> bool:
    return not any(home.landing.iterdir()) and not any(home.claimed.iterdir())


def test_a_folder_is_whole_when_nothing_in_it_changes(home):
    package(home)
    assert not whole(home)
    assert whole(home, after=101)
    assert one(home, after=101).files == 3


def test_times_that_a_sender_sets_count_for_nothing(home):
    """A copy that keeps the times of its originals is as new as its last byte."""
    folder = package(home)
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (0, 0))
    assert not whole(home)


@pytest.mark.parametrize("name", ["a.tif.part", "a.TIF.FILEPART", ".a.tif.x1Yz9Q", "a.crdownload", "a.tmp"])
def test_names_of_transfers_are_waited_for(home, name):
    folder = package(home)
    (folder / name).write_bytes(b"half")
    assert not whole(home, after=86_400)
    (folder / name).rename(folder / "a.tif")
    assert whole(home, after=101)


def test_hidden_files_of_a_delivery_do_not_keep_it_waiting(home):
    (package(home) / ".DS_Store").write_bytes(b"1")
    assert whole(home, after=101)


def test_a_transfer_at_the_top_is_waited_for_and_hidden_ones_are_not_seen(home):
    (home.landing / "scene.zip.part").write_bytes(b"half")
    (home.landing / ".scene.zip.Ab12Cd").write_bytes(b"half")
    assert [found.name for found in scan_landing(home, STABLE, now=time.time() + 1e6)] == ["scene.zip.part"]
    assert not whole(home, after=1e6)


def listed(folder: Path, *more: str) -> None:
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}" for name in names]
    (folder / "CHECKSUM.sha256").write_text("\n".join([*lines, *(f"{'0' * 64}  {name}" for name in more)]) + "\n")


def test_a_list_says_at_once_that_a_package_is_whole(home):
    listed(package(home))
    assert whole(home)


def test_a_list_says_what_has_not_come(home):
    listed(package(home), "inner/late.bin")
    found = one(home, after=300)
    assert found.state is LandingState.ARRIVING
    assert "inner/late.bin" in found.why
    assert whole(home, after=601)  # to be refused as incomplete, in words that name the file


def test_a_file_that_is_there_but_not_finished_is_waited_for(home):
    folder = package(home)
    listed(folder)
    (folder / "inner" / "part1.bin").write_bytes(b"half")
    assert not whole(home)
    assert whole(home, after=101)


def test_a_list_cannot_lead_out_of_its_package(home, tmp_path):
    (tmp_path / "secret").write_bytes(b"x")
    listed(package(home), "../../../secret", "/etc/passwd")
    assert whole(home)


@pytest.mark.parametrize("aside", ["scene.zip.sha256", "scene.zip.md5", "scene.sha256"])
@pytest.mark.parametrize("bare", [False, True])
def test_an_archive_agrees_with_the_list_beside_it(home, aside, bare):
    archive = home.landing / "scene.zip"
    archive.write_bytes(b"PK\3\4 not looked into")
    digest = hashlib.new("md5" if "md5" in aside else "sha256", archive.read_bytes()).hexdigest()
    (home.landing / aside).write_text(digest if bare else f"{digest}  scene.zip\n")
    found = one(home)
    assert (found.state, found.fault) == (LandingState.WHOLE, None)
    claim = claim_package(home, found)
    assert claim.package(home).name == "scene.zip"
    assert not any(home.landing.iterdir())


def test_an_archive_that_never_agrees_is_set_aside_with_the_reason(home):
    (home.landing / "scene.zip").write_bytes(b"half of it")
    (home.landing / "scene.zip.sha256").write_text(f"{'1' * 64}  scene.zip\n")
    assert not whole(home)
    report = look(home, AT_ONCE, Runs(home))
    assert [seen.reasons for seen in report.packages] == [("checksum",)]
    (kept,) = home.quarantine.glob("*/scene.zip")
    assert kept.read_bytes() == b"half of it"
    assert empty(home)
    assert [event["kind"] for event in read_events(home)] == ["scene.landed", "scene.quarantined"]


def test_a_marker_says_that_a_package_is_whole(home):
    package(home)
    (home.landing / "scene.done").touch()
    found = one(home)
    assert found.state is LandingState.WHOLE
    claim_package(home, found)
    assert not any(home.landing.iterdir())


def test_an_image_comes_with_what_describes_it(home):
    for name in ("a.tif", "a_RPC.TXT", "a.tif.xml", "a_2.tif", "a_2.RPB", "b.zip"):
        (home.landing / name).write_bytes(name.encode())
    found = scan_landing(home, AT_ONCE)
    assert [sorted(path.name for path in each.members) for each in found] == [
        ["a.tif", "a.tif.xml", "a_RPC.TXT"],
        ["a_2.RPB", "a_2.tif"],
        ["b.zip"],
    ]
    claim = claim_package(home, found[0])
    assert sorted(path.name for path in claim.package(home).iterdir()) == ["a.tif", "a.tif.xml", "a_RPC.TXT"]
    assert claim_package(home, found[2]).package(home).read_bytes() == b"b.zip"


def test_a_file_that_somebody_writes_is_not_whole_however_long_it_stalls(home):
    code = "import sys,time; f=open(sys.argv[1],'ab'); print('open', flush=True); time.sleep(60)"
    path = home.landing / "scene.zip"
    path.write_bytes(b"first half")
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        found = one(home, AT_ONCE)
        writer.kill()
    assert found.state is LandingState.ARRIVING
    assert "open for writing" in found.why
    assert whole(home, AT_ONCE)


def test_what_lies_in_the_future_is_watched(home, monkeypatch):
    """A clock that was set back must not keep packages waiting until it has caught up."""
    package(home)
    now = time.time
    monkeypatch.setattr("pipelines.landing.time.time", lambda: now() - 40 * 86_400)
    rules = LandingConfig(stable_seconds=0.2)
    assert not whole(home, rules, after=-40 * 86_400)
    assert look(home, rules, Runs(home)).taken == 1


def test_a_package_is_processed_once_and_leaves(home):
    package(home)
    runs = Runs(home)
    assert states(look(home, AT_ONCE, runs)) == ["running"]
    assert states(look(home, AT_ONCE, runs)) == ["running"]
    assert len(runs.keys) == 1
    assert not any(home.landing.iterdir())
    runs.ends = Outcome.PUBLISHED
    assert states(look(home, AT_ONCE, runs)) == ["published"]
    assert states(look(home, AT_ONCE, runs)) == []
    assert len(runs.keys) == 1
    assert empty(home)


def test_the_same_content_twice_is_processed_once(home):
    shutil.copytree(package(home), home.landing / "again")
    with zipfile.ZipFile(home.landing / "packed.zip", "w") as archive:
        for path in (home.landing / "scene").rglob("*.bin"):
            archive.write(path, path.relative_to(home.landing / "scene"))
    runs = Runs(home)
    assert sorted(states(look(home, AT_ONCE, runs))) == ["duplicate", "duplicate", "running"]
    assert len(runs.keys) == 1


def test_what_no_copy_was_kept_of_is_kept_itself(home):
    package(home)
    look(home, AT_ONCE, Runs(home, Outcome.PUBLISHED, "inputs_not_kept"))
    assert [path.name for path in home.inputs.glob("*/*")] == ["scene"]
    assert len(list(home.inputs.rglob("*.bin"))) == 3


def test_a_rejected_package_lies_in_quarantine_with_its_reason(home):
    package(home)
    assert states(look(home, AT_ONCE, Runs(home, Outcome.REJECTED, "package.level"))) == ["rejected"]
    assert '"package.level"' in next(home.quarantine.glob("*/reason.json")).read_text()
    assert len(list(home.quarantine.rglob("*.bin"))) == 3
    assert empty(home)


def due(home: Home) -> None:
    """Time has passed: every claim may be tried again."""
    for claim in claims(home):
        save(home, claim.model_copy(update={"next_try": datetime.now(UTC) - timedelta(seconds=1)}))


def test_what_is_held_for_want_of_something_stays_and_is_tried_again(home):
    package(home)
    runs = Runs(home, Outcome.HELD, "dem.missing")
    assert states(look(home, AT_ONCE, runs)) == ["held"]
    (waiting,) = look(home, AT_ONCE, runs).packages
    assert (waiting.state, waiting.reasons) == ("waiting", ("dem.missing",))
    due(home)
    runs.ends = Outcome.PUBLISHED
    assert states(look(home, AT_ONCE, runs)) == ["published"]
    assert len(runs.keys) == 2
    assert empty(home)


def test_dropped_again_it_is_tried_at_once(home):
    copy = home.path / "copy"
    shutil.copytree(package(home), copy)
    runs = Runs(home, Outcome.HELD, "dem.missing")
    look(home, AT_ONCE, runs)
    shutil.copytree(copy, home.landing / "again")
    runs.ends = Outcome.PUBLISHED
    assert sorted([*states(look(home, AT_ONCE, runs)), *states(look(home, AT_ONCE, runs))]).count("published") == 1
    assert len(runs.keys) == 2


def test_what_waits_at_the_desk_has_left(home):
    package(home)
    assert states(look(home, AT_ONCE, Runs(home, Outcome.HELD, "review.accuracy"))) == ["held"]
    assert empty(home)


def test_a_run_that_dies_is_tried_again_and_then_the_package_is_set_aside(home):
    package(home)
    runs = Runs(home)
    runs.state = RunState.ENDED
    seen = []
    for _ in range(4):
        seen += states(look(home, AT_ONCE, runs))
        due(home)
    assert seen == ["waiting", "waiting", "waiting", "quarantined"]
    assert len(runs.keys) == 4
    assert '"run.crashed"' in next(home.quarantine.glob("*/reason.json")).read_text()
    assert empty(home)


def test_a_cancelled_package_is_set_aside_and_not_tried_again(home):
    package(home)
    runs = Runs(home)
    runs.state = RunState.CANCELLED
    assert states(look(home, AT_ONCE, runs)) == ["quarantined"]
    assert len(list(home.quarantine.rglob("*.bin"))) == 3
    assert empty(home)


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("steps", range(1, 16))
def test_a_crash_at_any_moment_loses_nothing(home, monkeypatch, steps):
    """Killed before the n-th change of the disk; the next look finishes. All files are there all the time."""
    for name in ("a.tif", "a_RPC.TXT"):
        (home.landing / name).write_bytes(name.encode())
    before = {path.name: path.read_bytes() for path in home.landing.iterdir()}
    left = steps
    real = {"write_file": None, "move": None}
    for name in real:
        function = getattr(__import__("processing.archive.durable", fromlist=[name]), name)

        def dying(*arguments, function=function):
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return function(*arguments)

        monkeypatch.setattr(f"processing.archive.durable.{name}", dying)
    runs = Runs(home, Outcome.REJECTED, "package.level")
    killed = 0
    for _ in range(3):
        try:
            look(home, AT_ONCE, runs)
        except Killed:
            killed += 1
            found = {path.name: path.read_bytes() for path in home.path.rglob("a*") if path.is_file()}
            assert found == before
    assert killed <= 1
    assert len(runs.keys) == 1
    assert {path.name: path.read_bytes() for path in home.quarantine.glob("*/a/*")} == before
    assert empty(home)


def test_a_crash_after_a_package_was_kept_by_another_name(home, monkeypatch):
    """The claim is still there, and its package is not: the next look lets the claim go."""
    package(home)

    def dying(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.watch.let_go", dying)
        with pytest.raises(Killed):
            look(home, AT_ONCE, Runs(home, Outcome.PUBLISHED, "inputs_not_kept"))
    assert states(look(home, AT_ONCE, Runs(home))) == ["published"]
    assert len(list(home.inputs.rglob("*.bin"))) == 3
    assert empty(home)


def test_two_looks_at_once_take_a_package_once(home):
    """Four processes look at the same time at twenty packages."""
    for number in range(20):
        package(home, f"scene{number}")
    code = (
        "import sys; from pathlib import Path; from configs.settings import Home\n"
        "from processing.archive import durable\n"
        "from pipelines.landing import scan_landing\n"
        "from pipelines.landing_claims import claim_package\n"
        "from configs.schema.landing import LandingConfig\n"
        "home = Home.resolve(Path(sys.argv[1]))\n"
        "with durable.exclusive(home.staging / 'landing.lock'):\n"
        "    whole = scan_landing(home, LandingConfig(stable_seconds=0))\n"
        "    print(len([claim_package(home, each) for each in whole]))\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(home.path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert sum(int(child.communicate(timeout=120)[0]) for child in children) == 20
    assert len(claims(home)) == 20


def test_the_shipped_rules_are_the_defaults(tmp_path):
    assert load_landing() == LandingConfig()
    (tmp_path / "landing.yaml").write_text("stable_seconds: 5\n")
    assert load_landing(tmp_path).stable_seconds == 5

"""The landing zone in a bucket, on a real S3 server: what is whole is taken once, whatever fails meanwhile."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import obstore
import pytest

from configs.schema.landing import LandingBucket, LandingConfig
from configs.settings import Home
from pipelines.bell_ears import BucketEar
from pipelines.journal import read_events
from pipelines.landing_bucket import bucket_groups
from pipelines.landing_claims import Claim, claims, record_outcome
from pipelines.landing_runs import RunState
from pipelines.outcomes import PackageOutcome
from pipelines.watch import WatchReport
from processing.archive.bucket_files import StoredObject, is_safe
from processing.model.quality import Outcome
from tests.pipelines.small_delivery import small_lattice, write_delivery
from tests.services.flat_bucket import FlatBucket, flat_bucket
from tests.services.proxy import fault_proxy
from tests.services.seaweed import S3Server

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("prefect"), pytest.mark.timeout(300)]
NOT_KEPT = "inputs_not_kept"
SCENE = {"scene/a.tif": b"pixels" * 999, "scene/inner/b.xml": b"<b/>", "scene/inner/empty": b""}


class Bucket:
    """A bucket with a landing prefix, as its senders see it."""

    def __init__(self, server: S3Server) -> None:
        self.server, self.name = server, server.new_bucket()
        self.store = server.store(self.name)

    def send(self, objects: dict[str, bytes], prefix: str = "in") -> None:
        for key, content in objects.items():
            obstore.put(self.store, f"{prefix}/{key}", content)

    def listed(self, prefix: str = "") -> list[str]:
        found = (each["path"] for batch in obstore.list(self.store) for each in batch)
        return sorted(key for key in found if key.startswith(prefix))

    def read(self, key: str) -> bytes:
        return bytes(obstore.get(self.store, key).bytes())

    def rules(self, *, endpoint: str | None = None, afterwards: str = "delete", **more: object) -> LandingConfig:
        return rules_of(self.name, endpoint or self.server.endpoint, {"afterwards": afterwards}, **more)


def rules_of(name: str, endpoint: str, limits: dict[str, object] | None = None, **more: object) -> LandingConfig:
    bucket = LandingBucket.model_validate({"url": f"s3://{name}/in", "endpoint": endpoint} | (limits or {}))
    return LandingConfig.model_validate({"stable_seconds": 0, "bucket": bucket} | more)


class Runs:
    """In the place of Prefect: keeps the attempts and what was in their packages, and ends them as a test says."""

    def __init__(self, home: Home, ends: Outcome | None = None, *reasons: str) -> None:
        self.home, self.ends, self.reasons = home, ends, reasons
        self.got: dict[str, dict[str, bytes]] = {}
        self.beside: dict[str, list[str]] = {}
        """By name of a package what was claimed when its run was asked for the first time."""

    def __call__(self, claim: Claim) -> RunState:
        package = claim.package(self.home)
        self.beside.setdefault(claim.name, [other.name for other in claims(self.home)])
        self.got[claim.key] = contents(package)
        if self.ends is not None:
            outcome = PackageOutcome(package=str(package), outcome=self.ends, reasons=self.reasons)
            record_outcome(self.home, outcome)
        return RunState.LIVE


def contents(package: Path) -> dict[str, bytes]:
    found = [package] if package.is_file() else [path for path in package.rglob("*") if path.is_file()]
    return {path.relative_to(package.parent).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.resolve(tmp_path / "home")


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return Bucket(s3)


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> Iterator[FlatBucket]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    with flat_bucket() as server:
        yield server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Time between looks, as a test says."""
    now = [time.time()]
    monkeypatch.setattr("pipelines.watch.time.time", lambda: now[0])

    def passes(seconds: float) -> None:
        now[0] += seconds

    return passes


def look(home: Home, rules: LandingConfig, runs: Runs) -> WatchReport:
    from pipelines.watch import look as taken

    return taken(home, rules, runs)


def states(report: WatchReport) -> list[str]:
    return [seen.state for seen in report.packages]


def test_many_objects_over_minutes_are_one_package_processed_once(
    home: Home, bucket: Bucket, clock: Callable[[float], None]
) -> None:
    rules, runs = bucket.rules(stable_seconds=60), Runs(home)
    for key, content in SCENE.items():
        bucket.send({key: content})
        assert states(look(home, rules, runs)) == ["arriving"]
        clock(40)
    assert states(look(home, rules, runs)) == ["arriving"]
    clock(21)
    assert states(look(home, rules, runs)) == ["running"]
    assert states(look(home, rules, runs)) == ["running"]
    assert bucket.listed("in/") == sorted(f"in/{key}" for key in SCENE), "until its run is over"
    runs.ends, runs.reasons = Outcome.PUBLISHED, (NOT_KEPT,)
    assert states(look(home, rules, runs)) == ["published"]
    assert look(home, rules, runs).packages == ()
    assert list(runs.got.values()) == [SCENE]
    assert bucket.listed() == []
    assert contents(next(home.inputs.glob("*/scene"))) == SCENE
    assert [event["scene"] for event in read_events(home) if event["kind"] == "scene.landed"] == ["scene"]
    assert not any(home.claimed.iterdir())


def test_a_list_says_at_once_what_is_there_and_what_is_not(
    home: Home, bucket: Bucket, clock: Callable[[float], None]
) -> None:
    rules, runs = bucket.rules(stable_seconds=3600, incomplete_minutes=100), Runs(home)
    lines = (f"{hashlib.sha256(content).hexdigest()}  {key.removeprefix('scene/')}" for key, content in SCENE.items())
    bucket.send({"scene/CHECKSUM.sha256": "\n".join(lines).encode()} | dict(list(SCENE.items())[1:]))
    assert "names scene/a.tif" in look(home, rules, runs).packages[0].why
    bucket.send({"scene/a.tif": b"an upload of other content"})
    assert "does not agree" in look(home, rules, runs).packages[0].why
    assert "may change yet" in look(home, rules, runs).packages[0].why, "it is not fetched again and again"
    bucket.send({"scene/a.tif": SCENE["scene/a.tif"]})
    assert states(look(home, rules, runs)) == ["running"]
    assert next(iter(runs.got.values())).items() > SCENE.items()


def test_names_that_no_disk_takes_and_objects_that_stand_for_folders() -> None:
    keys = {"scene": 0, "scene/inner": 0, "scene/inner/b": 3, "scene/empty": 0, "x.tif": 1, "x_RPC.TXT": 1, ".s/a": 1}
    found = [StoredObject(key=key, size=size, etag="1") for key, size in keys.items()]
    groups = {
        group.names: {each.key for each in group.objects} for group in bucket_groups(iter(found), LandingConfig())
    }
    assert groups == {("scene",): {"scene/inner/b", "scene/empty"}, ("x.tif", "x_RPC.TXT"): {"x.tif", "x_RPC.TXT"}}
    unsafe = ["../x", "a/../b", "/a", "a//b", "a/.", "a\\b", "a\0", f"a/{'ы' * 200}"]
    assert [key for key in [*unsafe, "a/b.c", ".a/ b"] if is_safe(key)] == ["a/b.c", ".a/ b"]


def test_an_archive_with_a_marker_or_a_list_beside_it(home: Home, bucket: Bucket) -> None:
    rules, runs = bucket.rules(stable_seconds=3600), Runs(home)
    bucket.send({"a.zip": b"a", "b.zip": b"b", "b.zip.done": b"", "c.zip.part": b"c", "d.zip": b"d"})
    bucket.send({"d.zip.sha256": hashlib.sha256(b"d").hexdigest().encode(), ".hidden/x": b"x"})
    told = {seen.package: seen.state for seen in look(home, rules, runs).packages}
    assert told == {"a.zip": "arriving", "b.zip": "running", "c.zip.part": "arriving", "d.zip": "running"}
    assert sorted(next(iter(got)) for got in runs.got.values()) == ["b.zip", "d.zip"]
    runs.ends, runs.reasons = Outcome.PUBLISHED, (NOT_KEPT,)
    look(home, rules, runs)
    assert bucket.listed("in/") == ["in/.hidden/x", "in/a.zip", "in/c.zip.part"]


@pytest.mark.parametrize(
    "scene",
    [
        {"scene/data": b"x", "scene/data/x.tif": b"y"},
        {"scene/data": b"x", "scene/data/": b"", "scene/b": b"b"},
        {"scene": b"x", "scene/x.tif": b"y"},
        {"sc\\ene": b"x"},
        {f"{'s' * 300}/a": b"x"},
    ],
    ids=["a file that is a folder", "a marker beside an object", "the package itself", "backslash", "long"],
)
def test_names_that_no_disk_takes_stop_nothing_else(home: Home, flat: FlatBucket, scene: dict[str, bytes]) -> None:
    home.landing.mkdir(parents=True)
    (home.landing / "local.zip").write_bytes(b"local")
    flat.objects = {f"in/{key}": content for key, content in (scene | {"z.zip": b"z", "a.zip": b"a"}).items()}
    rules, runs = rules_of(flat.name, flat.endpoint), Runs(home)
    report = look(home, rules, runs)
    told = {seen.package: seen.state for seen in report.packages}
    (name,) = {key.partition("/")[0] for key in scene}
    assert told == {"local.zip": "running", "z.zip": "running", "a.zip": "running", name: "quarantined"}
    assert {seen.reasons for seen in report.packages if seen.package == name} == {("path.escape",)}
    (folder,) = {key.rpartition("reason.json")[0] for key in flat.objects if key.endswith("/reason.json")}
    assert folder.startswith("in.quarantine/")
    kept = {key: content for key, content in scene.items() if content}
    assert {key: flat.objects[folder + key] for key in kept} == kept
    assert not any(f"in/{key}" in flat.objects for key in kept)


def test_an_object_that_is_a_folder_too_is_set_aside_on_a_real_server(home: Home, bucket: Bucket) -> None:
    sent = {"scene/data": b"x", "scene/data/x.tif": b"y"}
    for key, content in sent.items():
        bucket.send({key: content})
    (seen,) = look(home, bucket.rules(), Runs(home)).packages
    assert (seen.state, seen.reasons) == ("quarantined", ("path.escape",))
    assert bucket.listed("in/") == []
    kept = {"/".join(key.split("/")[2:]): bucket.read(key) for key in bucket.listed("in.quarantine/")}
    assert kept.items() > sent.items()


def test_what_this_machine_cannot_write_waits_and_keeps_no_other_waiting(tmp_path: Path, flat: FlatBucket) -> None:
    """The path of a file ends at 4096 bytes on Linux, and that of the installation is a part of it."""
    home = Home.resolve(tmp_path.joinpath(*["h" * 200] * 16))
    flat.objects = {f"in/scene/{'/'.join(['k' * 200] * 4)}": b"x", "in/z.zip": b"z"}
    rules, runs = rules_of(flat.name, flat.endpoint), Runs(home)
    told = {seen.package: seen for seen in look(home, rules, runs).packages}
    assert {name: seen.state for name, seen in told.items()} == {"scene": "arriving", "z.zip": "running"}
    assert "File name too long" in told["scene"].why
    assert [path.name for path in home.staging.glob("bucket-*")] == []


@pytest.mark.parametrize("name", ["MASKS", "CHECKSUM"])
def test_an_object_that_stands_for_an_empty_folder_is_one(
    home: Home, flat: FlatBucket, clock: Callable[[float], None], name: str
) -> None:
    rules, runs = rules_of(flat.name, flat.endpoint, stable_seconds=60), Runs(home)
    flat.objects = {f"in/{key}": content for key, content in (SCENE | {f"scene/{name}/": b""}).items()}
    assert "may change yet" in look(home, rules, runs).packages[0].why
    clock(61)
    assert states(look(home, rules, runs)) == ["running"]
    (claim,) = claims(home)
    assert (claim.package(home) / name).is_dir()
    assert list(runs.got.values()) == [SCENE]
    runs.ends, runs.reasons = Outcome.PUBLISHED, (NOT_KEPT,)
    assert "published" in states(look(home, rules, runs))
    assert [key for key in flat.objects if key.startswith("in/")] == [f"in/scene/{name}/"]


@pytest.mark.parametrize("key", ["scene//x.tif", "scene/./x.tif", "scene/../x.tif"])
def test_a_name_that_cannot_be_listed_is_told(home: Home, flat: FlatBucket, key: str) -> None:
    flat.objects = {f"in/{key}": b"x"}
    (seen,) = look(home, rules_of(flat.name, flat.endpoint), Runs(home)).packages
    assert (seen.state, seen.reasons) == ("waiting", ("s3.key",))
    assert f"'in/{key}'" in seen.why


def test_an_answer_that_is_no_listing_is_told(home: Home, flat: FlatBucket) -> None:
    flat.listing = b"<html><body>Welcome</html>"
    (seen,) = look(home, rules_of(flat.name, flat.endpoint), Runs(home)).packages
    assert (seen.state, seen.reasons) == ("waiting", ("s3.listing",))


def test_what_is_there_goes_on_while_more_is_fetched(home: Home, flat: FlatBucket) -> None:
    """A claim has its run before the next package is fetched."""
    home.landing.mkdir(parents=True)
    (home.landing / "local.zip").write_bytes(b"local")
    flat.objects = {"in/a.zip": b"a", "in/b.zip": b"b"}
    runs = Runs(home)
    report = look(home, rules_of(flat.name, flat.endpoint), runs)
    assert [(seen.package, seen.state) for seen in report.packages] == [
        ("local.zip", "running"), ("a.zip", "running"), ("b.zip", "running")
    ]  # fmt: skip
    assert runs.beside == {
        "local.zip": ["local.zip"], "a.zip": ["local.zip", "a.zip"], "b.zip": ["local.zip", "a.zip", "b.zip"]
    }  # fmt: skip


@pytest.mark.parametrize(("limits", "why"), [({"most_packages": 2}, "2 packages"), ({"most_gb": 1.5e-9}, "0.0 GB")])
def test_the_rest_waits_in_the_bucket_while_enough_is_in_work(
    home: Home, flat: FlatBucket, clock: Callable[[float], None], limits: dict[str, object], why: str
) -> None:
    rules, runs = rules_of(flat.name, flat.endpoint, limits), Runs(home)
    flat.objects = {f"in/{name}.zip": name.encode() for name in "bcd"}
    report = look(home, rules, runs)
    assert {seen.package: seen.state for seen in report.packages} == {
        "b.zip": "running", "c.zip": "running", "d.zip": "arriving"
    }  # fmt: skip
    assert f"waits for its turn: {why}" in report.packages[-1].why
    clock(60)
    flat.objects |= {"in/a.zip": b"a"}
    assert states(look(home, rules, runs)) == ["running", "running", "arriving", "arriving"]
    # What is held waits for something else, and is not in work. What waits longest has the first turn.
    runs.ends, runs.reasons = Outcome.HELD, ("dem.missing",)
    told = {seen.package: seen.state for seen in look(home, rules, runs).packages}
    assert list(told.items())[:3] == [("b.zip", "held"), ("c.zip", "held"), ("d.zip", "held")]


@pytest.mark.parametrize("name", ["scene", "x.zip"])
def test_what_is_refused_is_kept_on_both_sides_with_its_reason(home: Home, bucket: Bucket, name: str) -> None:
    sent = SCENE if name == "scene" else {name: b"half a zip"}
    bucket.send(sent)
    look(home, bucket.rules(), Runs(home, Outcome.REJECTED, "package.level"))
    (reason,) = home.quarantine.glob("*/reason.json")
    assert contents(reason.parent / name) == sent
    assert bucket.listed("in/") == []
    (told,) = [key for key in bucket.listed() if key.endswith("/reason.json")]
    folder = told.removesuffix("reason.json")
    assert folder.startswith("in.quarantine/")
    assert json.loads(bucket.read(told))["reason"] == "package.level"
    assert {key: bucket.read(folder + key) for key in sent} == sent


def test_an_archive_that_disagrees_with_its_list_is_set_aside(home: Home, bucket: Bucket) -> None:
    bucket.send({"x.zip": b"half", "x.zip.sha256": b"1" * 64})
    (seen,) = look(home, bucket.rules(), Runs(home)).packages
    assert (seen.state, seen.reasons) == ("quarantined", ("checksum",))
    assert bucket.listed("in/") == []
    assert len(bucket.listed("in.quarantine/")) == 3


@pytest.mark.parametrize(("afterwards", "reasons"), [("move", (NOT_KEPT,)), ("delete", ())])
def test_nothing_is_deleted_that_is_to_be_moved_or_has_no_copy(
    home: Home, bucket: Bucket, afterwards: str, reasons: tuple[str, ...]
) -> None:
    bucket.send(SCENE)
    look(home, bucket.rules(afterwards=afterwards), Runs(home, Outcome.PUBLISHED, *reasons))
    assert bucket.listed("in/") == []
    kept = {"/".join(key.split("/")[2:]): bucket.read(key) for key in bucket.listed("in.taken/")}
    assert kept == SCENE


def test_what_is_sent_anew_meanwhile_is_the_next_package(home: Home, bucket: Bucket) -> None:
    rules, runs = bucket.rules(), Runs(home)
    bucket.send({"x.zip": b"first"})
    look(home, rules, runs)
    bucket.send({"x.zip": b"second"})
    runs.ends, runs.reasons = Outcome.PUBLISHED, (NOT_KEPT,)
    assert states(look(home, rules, runs)) == ["published", "published"]
    assert [got["x.zip"] for got in runs.got.values()] == [b"first", b"second"]
    assert bucket.listed() == []


def test_the_same_content_twice_is_processed_once(home: Home, bucket: Bucket) -> None:
    rules, runs = bucket.rules(), Runs(home)
    bucket.send(SCENE | {key.replace("scene", "again"): content for key, content in SCENE.items()})
    assert sorted(states(look(home, rules, runs))) == ["duplicate", "running"]
    runs.ends, runs.reasons = Outcome.PUBLISHED, (NOT_KEPT,)
    look(home, rules, runs)
    assert len(runs.got) == 1
    assert bucket.listed("in/") == []


def test_a_bucket_that_does_not_answer_keeps_nothing_else_waiting(
    home: Home, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    home.landing.mkdir(parents=True)
    (home.landing / "local.zip").write_bytes(b"local")
    dead = bucket.rules(endpoint="http://127.0.0.1:9")
    told = {seen.package: seen for seen in look(home, dead, Runs(home)).packages}
    assert told["local.zip"].state == "running"
    assert told[f"s3://{bucket.name}/in"].reasons == ("s3.unavailable",)


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("steps", range(1, 17))
def test_a_crash_at_any_moment_loses_nothing_and_doubles_nothing(
    home: Home, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """Killed before the n-th change of disk or bucket: between copy and delete too."""
    bucket.send(SCENE)
    left = steps
    for name in (
        "processing.archive.durable.write_file", "processing.archive.durable.move",
        "processing.archive.bucket_files._fetch", "processing.archive.bucket_files._is_there",
    ):  # fmt: skip
        place, _, function_name = name.rpartition(".")
        function = getattr(__import__(place, fromlist=["_"]), function_name)

        def dying(*arguments, function=function):
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return function(*arguments)

        monkeypatch.setattr(name, dying)
    runs, killed = Runs(home, Outcome.PUBLISHED, NOT_KEPT), 0
    for _ in range(4):
        try:
            look(home, bucket.rules(), runs)
        except Killed:
            killed += 1
            sent = {key.removeprefix("in/"): bucket.read(key) for key in bucket.listed("in/")}
            kept = [contents(path) for path in (*home.claimed.rglob("scene"), *home.inputs.glob("*/scene"))]
            assert sent == SCENE or SCENE in kept
    assert killed <= 1
    assert len(runs.got) == 1
    assert bucket.listed() == []
    assert contents(next(home.inputs.glob("*/scene"))) == SCENE
    assert claims(home) == ()
    assert [path.name for path in home.staging.glob("bucket-*")] == []


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """As patient as otherwise in number, not in time."""
    backoff = {"init_backoff": timedelta(milliseconds=5), "max_backoff": timedelta(milliseconds=20), "base": 2}
    monkeypatch.setattr("processing.archive.objects._RETRIES", {"max_retries": 1, "backoff": backoff})


@pytest.mark.parametrize("fault", ["answer 503", "done, answer lost", "reset", "answer cut"])
def test_requests_that_fail_cost_time_and_nothing_else(
    home: Home, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Each request in turn fails twice: the client's own second try too."""
    impatient(monkeypatch)
    with fault_proxy(bucket.server.endpoint) as proxy:
        for number in range(0, 14, 2):
            bucket.send({key: content + str(number).encode() for key, content in SCENE.items()})
            proxy.restart(lambda n, *_, at=number: fault if n in (at, at + 1) else None)
            runs = Runs(home, Outcome.PUBLISHED, NOT_KEPT)
            for _ in range(4):
                look(home, bucket.rules(endpoint=proxy.endpoint), runs)
            assert proxy.spoiled or number > 8
            assert len(runs.got) == 1, (number, proxy.spoiled)
            assert bucket.listed() == []
    assert len(list(home.inputs.glob("*/scene"))) == 7


def test_a_real_delivery_from_the_bucket_to_the_catalogue(home: Home, bucket: Bucket, tmp_path: Path) -> None:
    """By the flow that the schedule runs, from the operator's own file to the item and the emptied bucket."""
    from pipelines.requests import WatchRequest
    from pipelines.watch import watch_landing

    delivery = write_delivery(tmp_path / "delivery")
    shutil.copytree(delivery.dem, home.dem)
    home.configs.mkdir(parents=True)
    place = f"{{url: 's3://{bucket.name}/in', endpoint: '{bucket.server.endpoint}'}}"
    (home.configs / "landing.yaml").write_text(f"stable_seconds: 0\nderive: []\nbucket: {place}\n")
    root = delivery.package.parent
    bucket.send({path.relative_to(root).as_posix(): path.read_bytes()
                 for path in delivery.package.rglob("*") if path.is_file()})  # fmt: skip
    bucket.send({"broken.zip": b"PK\3\4 and no more"})
    with small_lattice():
        report = WatchReport.model_validate(watch_landing(WatchRequest(home=str(home.path))))
    assert sorted(states(report)) == ["published", "quarantined"], report
    (item,) = home.products.glob("*/*/item.json")
    assert item.parent.name.startswith("KZ1_20180429T070543_")
    assert bucket.listed("in/") == []
    assert sorted(key.rpartition("/")[2] for key in bucket.listed()) == ["broken.zip", "reason.json"]
    assert len(list(home.inputs.glob("*/DS_DZHR1*"))) == 1


def test_the_bell_lists_the_bucket_and_hears_what_is_new_and_what_is_quiet(home: Home, bucket: Bucket) -> None:
    home.configs.mkdir(parents=True)
    place = f"{{url: 's3://{bucket.name}/in', endpoint: '{bucket.server.endpoint}', every_seconds: 1}}"
    (home.configs / "landing.yaml").write_text(f"stable_seconds: 2\nbucket: {place}\n")
    ear = BucketEar(home)

    def heard_within(seconds: float, before: frozenset[str]) -> frozenset[str]:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not (sounds := ear.sounds()) <= before:
                return sounds
            time.sleep(0.1)
        return frozenset()

    assert heard_within(2, frozenset()) == frozenset(), "nothing lies there"
    bucket.send(SCENE)
    came = heard_within(20, frozenset())
    assert len(came) == 1
    assert heard_within(20, came), "nothing changes in it any more"
    for key in bucket.listed():
        obstore.delete(bucket.store, key)
    until = time.monotonic() + 20
    while ear.sounds() and time.monotonic() < until:
        time.sleep(0.1)
    assert ear.sounds() == frozenset(), "what has gone is no reason to ring"
    (home.configs / "landing.yaml").write_text("stable_seconds: 2\n")
    assert ear.sounds() == frozenset()

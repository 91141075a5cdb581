"""The quality desk: what a rule holds is seen by nobody but operators, until one of them decides."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from affine import Affine

from catalogs import catalogue_exists
from catalogs.policy.audit import AuditLog
from configs.desk import load_desk
from configs.registry import load_registry
from configs.schema.desk import DeskConfig, ReviewLimits
from configs.settings import Home
from pipelines.catalogue import find_product, search_items
from pipelines.desk import decide, find_held, waiting
from pipelines.desk_report import desk_report
from pipelines.desk_rules import findings, is_water, screened
from pipelines.journal import read_events
from pipelines.outcomes import PackageOutcome
from pipelines.recovery import recover_home
from pipelines.requests import DecisionRequest, SceneRequest, Verdict
from pipelines.verify import verify
from processing.archive.held import release
from processing.archive.write import published
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput, Conflict
from processing.model.quality import Outcome
from tests.pipelines.small_delivery import SmallDelivery, process, small_lattice, write_delivery

STRICT = "review: {valid_percent: 100}\n"
COLLECTION = "kazeosat-1-l1c"


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> SmallDelivery:
    return write_delivery(tmp_path_factory.mktemp("delivery"))


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with small_lattice():
        yield


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = Home.resolve(tmp_path / "home")
    place.configs.mkdir(parents=True)
    (place.configs / "desk.yaml").write_text(STRICT)
    return place


def run(home: Home, delivery: SmallDelivery, **more: Any) -> PackageOutcome:
    from pipelines.process import process_scene

    asked = {"package": str(delivery.package), "home": str(home.path), "dem": str(delivery.dem), **more}
    return PackageOutcome.model_validate(process_scene(SceneRequest.model_validate(asked)))


@pytest.fixture(scope="module")
def once_held(tmp_path_factory: pytest.TempPathFactory, delivery: SmallDelivery, prefect: None) -> Path:
    """An installation with one product at the desk, to be copied."""
    place = Home.resolve(tmp_path_factory.mktemp("held") / "home")
    place.configs.mkdir(parents=True)
    (place.configs / "desk.yaml").write_text(STRICT)
    with small_lattice():
        assert run(place, delivery).reasons == ("review.nodata",)
    return place.path


@pytest.fixture
def with_held(tmp_path: Path, once_held: Path) -> Home:
    shutil.copytree(once_held, tmp_path / "copy", symlinks=True)
    return Home.resolve(tmp_path / "copy")


def files_under(home: Home, *rooms: str) -> set[str]:
    return {
        str(path.relative_to(home.path)) for room in rooms for path in (home.path / room).rglob("*") if path.is_file()
    }


@pytest.mark.usefixtures("prefect")
class TestHeld:
    def test_it_waits_unseen_and_is_published_when_accepted(self, home, delivery):
        from pipelines.decide import decide_held

        outcome = run(home, delivery, derive=["ndvi"])
        assert (outcome.outcome, outcome.reasons) == (Outcome.HELD, ("review.nodata",))
        assert not files_under(home, "archive", "products", "staging")
        assert not catalogue_exists(home.catalogue)
        assert recover_home(home, load_registry(home.configs), thorough=True) == ()
        assert any(home.inputs.iterdir())
        (held,) = waiting(home)
        assert [finding.code for finding in held.findings] == ["review.nodata"]
        report = desk_report(home, held.item)
        assert {"thumbnail", "visual", "quality", "qa"} <= set(report["files"])
        assert all(Path(path).is_file() for path in report["files"].values())

        request = DecisionRequest(
            home=str(home.path), item=held.item, verdict=Verdict.ACCEPT, reason="edges only", by="A. Operator"
        )
        done = PackageOutcome.model_validate(decide_held(request))
        assert done.outcome is Outcome.PUBLISHED
        assert [item.collection for item in done.items] == [COLLECTION, "kazeosat-1-ndvi"]
        assert waiting(home) == ()
        assert not files_under(home, "desk/held", "staging")
        (item,) = search_items(
            home.path, collection=COLLECTION, bbox=None, datetime=None, cql2=None, limit=9
        )["features"]  # fmt: skip
        review = item["properties"]["qyran:review"]
        assert {key: review[key] for key in ("verdict", "by", "reason")} == {
            "verdict": "accept", "by": "A. Operator", "reason": "edges only"
        }  # fmt: skip
        assert review["findings"][0].startswith("review.nodata: ")
        found = verify(home, share=1.0)
        assert found.ok, found
        assert found.checked == 2
        kinds = [event["kind"] for event in read_events(home)]
        assert kinds == ["scene.held", "scene.accepted", "scene.published"]
        (entry,) = AuditLog.open(home.path).entries()
        assert (entry.document["action"], entry.document["request_id"]) == ("desk.accept", held.revision)
        assert run(home, delivery).reasons == ("already_published",)

    def test_the_same_package_again_computes_nothing_and_waits_on(self, with_held, delivery, monkeypatch):
        home = with_held
        monkeypatch.setattr("pipelines.process.publish_product", None)
        assert run(home, delivery).outcome is Outcome.HELD
        assert len(waiting(home)) == 1

    def test_what_was_rejected_stays_rejected(self, with_held, delivery, monkeypatch):
        home = with_held
        (held,) = waiting(home)
        decided, _, link = decide(
            home, load_registry(home.configs), held.item, verdict=Verdict.REJECT, by="B", reason="no use"
        )
        assert (decided.verdict, link) == (Verdict.REJECT, None)
        assert not files_under(home, "desk/held", "archive", "products")
        monkeypatch.setattr("pipelines.process.publish_product", None)
        outcome = run(home, delivery)
        assert (outcome.outcome, outcome.reasons) == (Outcome.REJECTED, ("review.rejected",))
        assert "B rejected it" in (outcome.message or "")

    def test_an_earlier_version_stays_what_it_was_while_its_successor_waits(self, home, delivery):
        (home.configs / "desk.yaml").unlink()
        first = process(delivery.package, home.path, dem=str(delivery.dem))
        before = {name: (home.path / name).read_bytes() for name in files_under(home, "products", "archive")}
        (home.configs / "desk.yaml").write_text(STRICT)
        again = run(home, delivery, vertical_datum="ellipsoid")
        assert again.outcome is Outcome.HELD
        assert {name: (home.path / name).read_bytes() for name in files_under(home, "products", "archive")} == before
        link = decide(
            home, load_registry(home.configs), again.where or "", verdict=Verdict.ACCEPT, by="C", reason="ok"
        )[2]
        assert link is not None
        assert link.id == first.items[0].id
        product = find_product(home, link.id)
        assert product.lineage.parameters["requested"]["vertical_datum"] == "ellipsoid"
        assert verify(home, share=1.0).ok

    @pytest.mark.parametrize("step", range(1, 9))
    def test_killed_in_the_middle_of_a_decision_it_can_be_made_again(self, with_held, step):
        home = with_held
        (held,) = waiting(home)
        registry, left = load_registry(home.configs), step

        class Killed(BaseException):
            pass

        def dying(function: Any) -> Any:
            def call(*arguments: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    raise Killed
                return function(*arguments)

            return call

        from processing.archive import durable

        with pytest.MonkeyPatch.context() as patch:
            for name in ("move", "write_file", "point_link"):
                patch.setattr(durable, name, dying(getattr(durable, name)))
            with contextlib.suppress(Killed):
                decide(home, registry, held.item, verdict=Verdict.ACCEPT, by="D", reason="good")
        recover_home(home, registry)
        if waiting(home):
            decide(home, registry, held.item, verdict=Verdict.ACCEPT, by="D", reason="good")
        assert waiting(home) == ()
        assert published(home.path, *held.item.split("/")) is not None
        assert find_product(home, held.item).revision == held.revision
        found = verify(home, share=1.0)
        assert found.ok, found

    def test_the_opposite_of_what_was_decided_is_refused(self, with_held, monkeypatch):
        home = with_held
        (held,) = waiting(home)
        registry = load_registry(home.configs)

        def stopped(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("pipelines.desk.release", stopped)
        with pytest.raises(KeyboardInterrupt):
            decide(home, registry, held.item, verdict=Verdict.ACCEPT, by="D", reason="good")
        monkeypatch.setattr("pipelines.desk.release", release)
        with pytest.raises(Conflict, match="D decided to accept"):
            decide(home, registry, held.item, verdict=Verdict.REJECT, by="E", reason="bad")
        assert waiting(home)[0].decided is not None
        decide(home, registry, held.item, verdict=Verdict.ACCEPT, by="E", reason="as said")
        item = json.loads((home.products / held.item / "item.json").read_bytes())
        assert item["properties"]["qyran:review"]["by"] == "D"


def test_who_asks_for_what_does_not_wait_is_told_what_does(home):
    with pytest.raises(BadInput, match="no product 'X' waits") as caught:
        find_held(home, "X")
    assert caught.value.kind == "item.unknown"


@pytest.mark.parametrize(("by", "reason"), [("", "good"), ("A", " ")])
def test_a_decision_has_a_name_and_a_reason(home, by, reason):
    with pytest.raises(BadInput, match="a name and a reason"):
        decide(home, load_registry(home.configs), "X", verdict=Verdict.ACCEPT, by=by, reason=reason)


def product(**more: Any) -> Any:
    """As much of a product as rules look at."""
    values = {("red", "reflectance"): 80.0, ("nir", "reflectance"): 60.0, ("view_zenith", "angles"): 1.0}
    bands = [SimpleNamespace(name=name, group=group, valid_percent=part) for (name, group), part in values.items()]
    flags = {"reflectance": {"cloud": 30.0, "cloud_not_tested": 0.0}}
    quality = {
        "registration": {"largest_offset_px": 1.5},
        "flags_percent": flags,
        "warnings": ["not refined: few points"],
    }
    facts = {"mission": "m", "recipe": "r", "accuracy": {"ce90_m": 12.0}, "gsd_m": 4.0, "bands": bands, "facts": {}}
    return SimpleNamespace(**{**facts, "quality": quality, **more})


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"ce90_m": 11.9}, "accuracy"),
        ({"ce90_gsd": 2.9}, "accuracy"),
        ({"band_offset_px": 1.4}, "registration"),
        ({"valid_percent": 60.1}, "nodata"),
        ({"cloud_percent": 29}, "cloud"),
        ({"unrefined": True}, "unrefined"),
        ({"warnings": ("not ref",)}, "warned"),
        ({"ce90_m": 12, "ce90_gsd": 3, "band_offset_px": 1.5, "valid_percent": 60, "cloud_percent": 30}, None),
        ({"unrefined": False, "warnings": ("other",)}, None),
    ],
)  # fmt: skip
def test_limits(limits, code):
    found = findings(product(), DeskConfig(review=ReviewLimits.model_validate(limits)))
    assert [finding.code for finding in found] == ([] if code is None else [f"review.{code}"])


def test_cloud_that_nobody_looked_for_is_as_the_delivery_states():
    flags = {"reflectance": {"cloud": 0.0, "cloud_not_tested": 98.0}}
    limits = DeskConfig(review=ReviewLimits(cloud_percent=50))
    stated = product(quality={"flags_percent": flags}, facts={"cloud_cover_percent": "70"})
    assert [finding.code for finding in findings(stated, limits)] == ["review.cloud"]
    assert findings(product(quality={"flags_percent": flags}), limits) == ()


def test_a_recipe_comes_before_a_mission_and_that_before_all():
    rules = DeskConfig.model_validate(
        {
            "review": {"ce90_m": 1, "cloud_percent": 1, "valid_percent": 1},
            "missions": {"m": {"ce90_m": 2, "cloud_percent": None}},
            "recipes": {"r": {"ce90_m": 3}},
        }
    )
    limits = rules.limits("m", "r")
    assert (limits.ce90_m, limits.cloud_percent, limits.valid_percent) == (3, None, 1)
    assert rules.limits("other", "other").ce90_m == 1


def test_the_shipped_rules_hold_only_what_is_broken():
    rules = load_desk()
    assert findings(product(), rules) == ()
    torn = product(quality={"registration": {"largest_offset_px": 5.1}})
    assert [finding.code for finding in findings(torn, rules)] == ["review.registration"]


def scene(zenith: float | None = 40.0, cloud: str | None = None) -> Any:
    facts = {} if cloud is None else {"cloud_cover_percent": cloud}
    return SimpleNamespace(angles=SimpleNamespace(sun_zenith_deg=zenith), platform_facts=facts)


@pytest.mark.parametrize(
    ("scenes", "reason"),
    [
        ([scene()], None),
        ([scene(85.1)], "scene.low_sun"),
        ([scene(84.9)], None),
        ([scene(None)], None),
        ([scene(cloud="98")], "scene.all_cloud"),
        ([scene(cloud="97.9")], None),
        ([scene(cloud="100"), scene(cloud="40")], None),
    ],
)
def test_what_is_not_worth_processing_is_a_result(tmp_path, scenes, reason):
    stop = screened(SimpleNamespace(scenes=scenes, delivery_id="D"), Home.resolve(tmp_path))
    assert (stop and stop.reason) == reason
    assert stop is None or stop.outcome is Outcome.REJECTED


def test_water_is_smooth_and_a_salt_pan_is_not():
    rows, columns = np.mgrid[:50, :60].astype(float)
    grid = {"crs": "EPSG:4326", "transform": Affine(0.001, 0, 50, 0, -0.001, 45), "datum_note": ""}
    sea = -28 - 11 + 0.002 * columns + 1e-5 * rows * columns  # the geoid's slope beneath a flat sea
    pan = sea + np.random.default_rng(1).normal(0, 0.1, sea.shape)
    assert is_water(Terrain(heights=sea.astype(np.float32), **grid))
    assert not is_water(Terrain(heights=pan.astype(np.float32), **grid))
    shore = sea.copy()
    shore[:, 55:] += 3
    assert not is_water(Terrain(heights=shore.astype(np.float32), **grid))

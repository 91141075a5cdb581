"""One scene delivered more than once: the better one stays, in whatever order they come, and whoever has the lesser
one is told."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs import open_store
from catalogs.customers.accounts import Details
from catalogs.customers.store import open_customers
from catalogs.delivery.order import OrderRequest
from catalogs.delivery.order_desk import open_desk, submit
from catalogs.delivery.subscriptions_desk import open_subscriptions
from catalogs.delivery.subscriptions_send import notices
from catalogs.policy.terms import CustomerClass
from catalogs.versions import read_versions
from configs.registry import load_registry
from configs.schema.landing import LandingConfig
from configs.settings import Home
from pipelines.desk import decide, waiting
from pipelines.journal import read_events
from pipelines.landing_claims import Claim, claims, save
from pipelines.landing_runs import RunState, scene_request
from pipelines.outcomes import PackageOutcome
from pipelines.passes_book import PassRecord, PassState, pass_record, write_pass
from pipelines.passes_look import look, pass_table
from pipelines.reasons import reason
from pipelines.reproduce import reproduce
from pipelines.requests import DecisionRequest, ReprocessRequest, SceneRequest, Verdict
from pipelines.run import reprocess_items
from pipelines.subscriptions_serve import serve
from pipelines.watch import Seen
from pipelines.watch import look as watch_look
from processing.archive.open import open_product
from processing.model.errors import Conflict
from processing.model.quality import Outcome
from processing.model.timeliness import ATTITUDE, ORBIT, Rank, Standing, timeliness_of, worst_sources
from tests.pipelines.redelivered import write_deliveries
from tests.pipelines.small_delivery import small_lattice

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(600)]
ACQUIRED = datetime(2018, 4, 29, 7, 5, 43, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def _lattice() -> Iterator[None]:
    with small_lattice():
        yield


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_deliveries(tmp_path_factory.mktemp("deliveries"))


@pytest.fixture(scope="module")
def after_nrt(prefect: None, packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation that holds the near-real-time product and its NDVI."""
    home = tmp_path_factory.mktemp("nrt")
    outcome = process(packages, "nrt", Home(home), derive=["ndvi"])
    assert (outcome.outcome, outcome.reasons) == (Outcome.PUBLISHED, ())
    return home


@pytest.fixture
def home(after_nrt: Path, tmp_path: Path) -> Home:
    shutil.copytree(after_nrt, tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")


def process(packages: dict[str, Path], name: str, home: Home, **more: Any) -> PackageOutcome:
    from pipelines.process import process_scene

    asked = {"package": str(packages[name]), "home": str(home.path), "dem": str(packages["dem"])} | more
    return PackageOutcome.model_validate(process_scene(SceneRequest.model_validate(asked)))


def only_item(home: Home, collection: str = "kazeosat-1-l1c") -> dict[str, Any]:
    (path,) = (home.products / collection).glob("*/item.json")
    item: dict[str, Any] = json.loads(path.read_text())
    with closing(open_store(home.catalogue)) as store:
        assert store.get_item(collection, item["id"]) == item
    return item


def kinds(home: Home, about: str) -> list[str]:
    return [str(event["kind"]) for event in read_events(home) if str(event["kind"]).startswith(about)]


def test_the_final_delivery_is_the_next_version_of_the_same_item(home: Home, packages: dict[str, Path]) -> None:
    was, ndvi = only_item(home), only_item(home, "kazeosat-1-ndvi")
    assert was["properties"]["product:timeliness_category"] == "NRT"
    assert was["properties"]["product:timeliness"] == "PT3H"
    outcome = process(packages, "final", home)
    assert (outcome.outcome, outcome.reasons, outcome.timeliness) == (Outcome.PUBLISHED, ("scene.upgraded",), "NTC")
    now = only_item(home)
    assert now["id"] == was["id"]
    assert now["properties"]["product:timeliness_category"] == "NTC"
    assert now["properties"]["version"] != was["properties"]["version"]
    versions = read_versions(now, home.products / now["collection"] / now["id"])
    assert [item["properties"].get("deprecated", False) for item, _ in versions] == [False, True]
    assert versions[1][0]["properties"]["product:timeliness_category"] == "NRT"
    # What derived from it was made anew, though nobody asked.
    again = only_item(home, "kazeosat-1-ndvi")
    assert again["properties"]["version"] != ndvi["properties"]["version"]
    assert again["properties"]["product:timeliness_category"] == "NTC"
    assert "qyran:stale" not in again["properties"]
    # Thirty metres apart, on the ground and not only in words.
    old, new = (open_product(home.archive / place, group="reflectance") for place in _stores(home, was, now))
    assert not np.array_equal(old["x"], new["x"]) or not np.array_equal(old["red"], new["red"])
    (told,) = [event for event in read_events(home) if event["kind"] == "scene.upgraded"]
    assert (told["was"], told["now"]) == (was["properties"]["version"], now["properties"]["version"])
    assert (told["timeliness_was"], told["timeliness"]) == ("NRT", "NTC")
    assert reproduce(home, f"{now['collection']}/{now['id']}").identical


def _stores(home: Home, *items: dict[str, Any]) -> list[Path]:
    return [
        next(home.archive.rglob(f"{item['id']}/{item['properties']['version']}.zarr")).relative_to(home.archive)
        for item in items
    ]


def test_never_the_other_way_round_and_each_once(home: Home, packages: dict[str, Path]) -> None:
    assert process(packages, "nrt", home).reasons == ("already_published",)
    process(packages, "final", home)
    settled = only_item(home)
    for name, reasons in (
        ("nrt", ("scene.better_published",)), ("final", ("already_published",)), ("ms", ("scene.better_published",)),
        ("unstated", ("scene.better_published",)), ("other", ("id.conflict",)), ("nrt", ("scene.better_published",)),
    ):  # fmt: skip
        outcome = process(packages, name, home)
        assert outcome.reasons == reasons, name
        if reasons == ("scene.better_published",):
            assert outcome.outcome is Outcome.REJECTED
            assert [item.id for item in outcome.items] == [settled["id"]]
        assert only_item(home) == settled
    assert kinds(home, "scene.upgraded") == ["scene.upgraded"]
    # Made again with other settings, it is a new version of its own kind, and no better delivery.
    recipe = load_registry().recipes["l1c"].model_copy(update={"resampling": "nearest"})
    (home.configs / "recipes").mkdir(parents=True)
    (home.configs / "recipes" / "l1c.yaml").write_text(recipe.model_dump_json())
    name = f"{settled['collection']}/{settled['id']}"
    (again,) = reprocess_items(ReprocessRequest(home=str(home.path), items=[name]), report=None)
    assert (again.changed, again.reasons) == (True, ())
    assert kinds(home, "scene.upgraded") == ["scene.upgraded"]


@pytest.mark.parametrize("order", ["part final", "final part ms", "ms part final"])
def test_whatever_part_comes_first_the_whole_is_what_stays(
    packages: dict[str, Path], order: str, tmp_path: Path
) -> None:
    """A part of the scene has another centre, so another time; and yet it is one item, under the id that it had."""
    process(packages, "unstated", Home(tmp_path / "alone"))
    whole = only_item(Home(tmp_path / "alone"))
    place = Home(tmp_path / "parts")
    for name in order.split():
        process(packages, name, place)
    item = only_item(place)
    assert item["assets"]["red"]["proj:shape"] == whole["assets"]["red"]["proj:shape"]
    assert "pan" in item["assets"]
    assert reproduce(place, f"{item['collection']}/{item['id']}").identical


def test_a_pass_its_gap_and_its_customers_learn_of_it(home: Home, packages: dict[str, Path]) -> None:
    """From the pass that was closed with what had come to the letter that a customer gets."""
    aos = ACQUIRED + timedelta(hours=1)
    brought = PassRecord(
        key="kazeosat-1-63092-astana", mission="kazeosat-1", satellite="KAZEOSAT 1", station="astana", orbit=63092,
        aos=aos, tca=aos + timedelta(minutes=6), los=aos + timedelta(minutes=12), max_elevation_deg=55.0,
        imaged_from=ACQUIRED - timedelta(minutes=30), elements=aos,
    )  # fmt: skip
    write_pass(home, brought)
    registry = load_registry()
    closed, _ = look(home, registry, brought.key, now=datetime.now(UTC), expected=1)
    assert (closed.state, closed.provisional) == (PassState.COMPLETE, 1)
    assert "(NRT)" in pass_table(closed)
    item = only_item(home)
    name = f"{item['collection']}/{item['id']}"
    customers = open_customers(home.path)
    ids = [
        customers.add(who, Details(customer_class=CustomerClass.GOV_DOMESTIC, country="KZ", region="KZ-75")).id
        for who in ("akimat", "other")
    ]
    customers.close()
    with open_desk(home.path) as desk:
        order = submit(desk, desk.asking(desk.customers.party(ids[0])), OrderRequest(items=(name,)))
    _deliver(home, order.id)
    assert serve(home.path)["announced"] == 0

    process(packages, "final", home)

    record = pass_record(home, brought.key)
    assert record is not None
    assert (record.state, record.provisional, len(record.deliveries)) == (PassState.COMPLETE, 0, 1)
    assert "(upgraded, NTC)" in pass_table(record)
    (told,) = [event for event in read_events(home) if event["kind"] == "pass.upgraded"]
    assert (told["name"], told["items"][0], told["provisional"]) == (brought.key, name, 0)
    assert [serve(home.path)["announced"] for _ in range(2)] == [1, 0]
    with open_subscriptions(home.path) as place:
        (notice,) = notices(place, customer=ids[0])
        assert notices(place, customer=ids[1]) == []
    assert notice["type"] == "item.superseded"
    changed = {change["property"]: (change["was"], change["now"]) for change in notice["data"]["changes"]}
    assert changed["product:timeliness_category"] == ("NRT", "NTC")
    process(packages, "nrt", home)
    assert pass_record(home, brought.key) == record
    assert serve(home.path)["announced"] == 0


def test_a_final_product_that_waits_at_the_desk_changes_nothing_until_it_is_accepted(
    home: Home, packages: dict[str, Path]
) -> None:
    from pipelines.decide import decide_held

    was = only_item(home)
    (home.configs).mkdir()
    (home.configs / "desk.yaml").write_text("review: {valid_percent: 100}\n")
    assert process(packages, "final", home).reasons == ("review.nodata",)
    assert only_item(home) == was
    # A lesser delivery takes no place at the desk either; what is published already has nothing to wait for.
    assert process(packages, "between", home).reasons == ("scene.better_held",)
    assert process(packages, "nrt", home).reasons == ("already_published",)
    asked = {"item": was["id"], "verdict": "accept", "by": "aigul", "reason": "whole enough", "home": str(home.path)}
    outcome = PackageOutcome.model_validate(decide_held(DecisionRequest.model_validate(asked)))
    assert (outcome.outcome, outcome.reasons, outcome.timeliness) == (Outcome.PUBLISHED, ("scene.upgraded",), "NTC")
    assert only_item(home)["properties"]["product:timeliness_category"] == "NTC"
    assert only_item(home, "kazeosat-1-ndvi")["properties"]["product:timeliness_category"] == "NTC"
    assert kinds(home, "scene.upgraded") == ["scene.upgraded"]


def strict(home: Home, *, on: bool = True) -> None:
    """Have every product looked at by an operator, or none."""
    home.configs.mkdir(parents=True, exist_ok=True)
    (home.configs / "desk.yaml").write_text("review: {valid_percent: 100}\n" if on else "{}\n")


def say(home: Home, item: str, verdict: Verdict) -> None:
    decide(home, load_registry(home.configs), item, verdict=verdict, by="aigul", reason="as seen")


def test_a_part_at_the_desk_and_its_whole_published_are_one_item(packages: dict[str, Path], tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    strict(home)
    assert process(packages, "part", home).reasons == ("review.nodata",)
    (held,) = waiting(home)
    strict(home, on=False)
    assert process(packages, "final", home).outcome is Outcome.PUBLISHED
    item = only_item(home)
    assert f"{item['collection']}/{item['id']}" == held.item
    with pytest.raises(Conflict) as refused:
        say(home, held.item, Verdict.ACCEPT)
    assert refused.value.kind == "scene.better_published"
    assert only_item(home) == item
    # What could not be carried out is not on record: the officer is free to reject it.
    say(home, held.item, Verdict.REJECT)
    assert waiting(home) == ()
    assert only_item(home) == item
    assert reproduce(home, held.item).identical


def test_a_part_at_the_desk_and_its_whole_at_the_desk_are_one_item(packages: dict[str, Path], tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    strict(home)
    assert process(packages, "part", home).reasons == ("review.nodata",)
    (part,) = waiting(home)
    assert process(packages, "final", home).reasons == ("review.nodata",)
    (whole,) = waiting(home)
    assert whole.item == part.item
    assert whole.revision != part.revision
    say(home, whole.item, Verdict.ACCEPT)
    assert only_item(home)["properties"]["version"] == whole.revision


def test_a_lesser_delivery_waits_until_the_better_one_at_the_desk_is_decided(
    packages: dict[str, Path], tmp_path: Path
) -> None:
    """Nothing is published yet, and nothing may ever be: who deletes the lesser one may lose the scene."""
    home = Home(tmp_path / "home")
    strict(home)
    assert process(packages, "final", home).reasons == ("review.nodata",)
    (held,) = waiting(home)
    for name, why in (("part", "scene.better_held"), ("between", "scene.better_held"), ("other", "scene.other_held")):
        outcome = process(packages, name, home)
        assert (outcome.outcome, outcome.reasons, outcome.quarantine) == (Outcome.HELD, (why,), None), name
        assert "waits at the desk" in str(outcome.message)
        assert held.item == outcome.where
        said = " ".join([str(outcome.message), str(outcome.remedy), str(reason(why))])
        assert "Keep th" in said
        assert "delete" not in said
        assert "withdraw" not in said
    assert waiting(home) == (held,)
    assert not list(home.products.glob("*/*/item.json"))
    say(home, held.item, Verdict.REJECT)
    strict(home, on=False)
    assert process(packages, "part", home).outcome is Outcome.PUBLISHED
    part = only_item(home)
    assert part["id"] != held.item.partition("/")[2], "an item of its own: there is no other"
    # What was rejected stays rejected, though its scene has an item under another id by now.
    assert process(packages, "final", home).reasons == ("review.rejected",)
    assert only_item(home) == part


def test_from_the_landing_zone_it_is_tried_again_by_itself(packages: dict[str, Path], tmp_path: Path) -> None:
    """Its claim keeps the package until the better one is decided, and then it is as if that had never come."""
    home = Home(tmp_path / "home")
    strict(home)
    assert process(packages, "final", home).reasons == ("review.nodata",)
    (held,) = waiting(home)
    home.landing.mkdir(parents=True)
    home.dem.parent.mkdir(parents=True)
    shutil.copytree(packages["dem"], home.dem)
    shutil.copytree(packages["between"], home.landing / "between")
    (seen,) = landing_looked_at(home)
    assert (seen.state, seen.reasons) == ("held", ("scene.better_held",))
    (claim,) = claims(home)
    assert claim.attempt == 2
    assert (claim.waits_for, claim.package(home).is_dir()) == (("scene.better_held",), True)
    say(home, held.item, Verdict.REJECT)
    strict(home, on=False)
    save(home, claim.model_copy(update={"next_try": datetime.now(UTC) - timedelta(seconds=1)}))
    (seen,) = landing_looked_at(home)
    assert (seen.state, claims(home)) == ("published", ())
    assert only_item(home)["properties"]["version"] != held.revision


def landing_looked_at(home: Home) -> tuple[Seen, ...]:
    from pipelines.process import process_scene

    rules = LandingConfig(stable_seconds=0, derive=())

    def here(claim: Claim) -> RunState:
        process_scene(scene_request(home, claim, rules))
        return RunState.ENDED

    return watch_look(home, rules, here).packages


def _deliver(home: Home, order_id: str) -> None:
    from pipelines.deliver_package import Workplace, make_package

    with open_desk(home.path) as desk:
        make_package(Workplace(home=home, registry=load_registry(), desk=desk), order_id)


words = st.sampled_from(["PREDICTED", "onboard", "", "a word of its own", "CORRECTED", "accurate"])
delivered = st.builds(
    lambda orbit, attitude, lines, bands: ({ORBIT: orbit, ATTITUDE: attitude, "lines_ms": lines, "samples_ms": 64},
                                           frozenset(bands)),
    words, words, st.integers(1, 3), st.sets(st.sampled_from(["red", "nir", "pan"]), min_size=1),
)  # fmt: skip


@given(st.lists(delivered, min_size=1, max_size=6))
def test_what_stays_is_never_worse_than_anything_that_came(coming: list[tuple[dict[str, Any], frozenset[str]]]) -> None:
    """Kept as the archive keeps it: the first, then whatever is better than what is there."""
    all_of = [Standing.of(*each) for each in coming]
    kept = all_of[0]
    for each in all_of[1:]:
        rank = each.against(kept)
        back = kept.against(each)
        assert (rank, back) in {
            (Rank.BETTER, Rank.WORSE), (Rank.WORSE, Rank.BETTER), (Rank.SAME, Rank.SAME), (Rank.MIXED, Rank.MIXED)
        }  # fmt: skip
        if rank is Rank.BETTER:
            kept = each
    assert all(each.against(kept) is not Rank.BETTER for each in all_of)
    # Where one is the best of all, it is that one, in whatever order they came.
    best = [each for each in all_of if all(each.against(other) in (Rank.BETTER, Rank.SAME) for other in all_of)]
    if best:
        assert kept.against(best[0]) is Rank.SAME


def test_one_predicted_orbit_makes_a_delivery_near_real_time() -> None:
    final, nrt, silent = ({ORBIT: word, ATTITUDE: "ACCURATE"} for word in ("CORRECTED", "Predicted", ""))
    assert timeliness_of(worst_sources([final, nrt])) == "NRT"
    assert timeliness_of(worst_sources([final, final])) == "NTC"
    assert timeliness_of(worst_sources([final, silent])) is None
    assert timeliness_of({}) is None

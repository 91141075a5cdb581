"""``build-composite`` through its public faces: the command, the flow, its form, what it leaves in the catalogue."""

import json
import shutil
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from typer.testing import CliRunner

from catalogs import open_store
from catalogs.collection import to_collection
from catalogs.policy.decide import decide
from catalogs.policy.load import load_policy
from catalogs.policy.terms import Action, CustomerClass, Party, product_facts
from catalogs.validate import validate_collection, validate_item
from configs.registry import load_registry
from configs.settings import Home
from pipelines.catalogue import catalogue_product, find_product
from pipelines.cli import app
from pipelines.composite_report import composition_table
from pipelines.composite_request import CompositeRequest, area_of, composite_request
from pipelines.observe import quality_table
from pipelines.outcomes import PackageOutcome
from pipelines.reproduce import reproduce
from pipelines.requests import ReprocessRequest
from pipelines.run import compose, reprocess_items
from pipelines.verify import verify
from processing.archive.open import open_product
from processing.model.errors import BadInput
from processing.model.qa import Qa
from processing.model.quality import Outcome
from tests.archive import several, synthetic
from tests.archive.several import Observation, observations, truth
from tests.policy import two_customers

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(600)]

RUN = CliRunner()
WEST, SOUTH = several.lonlat(78.5, 3.3)
EAST, NORTH = several.lonlat(5.1, 88.2)
AREA = shapely.box(WEST, SOUTH, EAST, NORTH)
COLLECTION = "kazeosat-1-composite"


@pytest.fixture(scope="module")
def seen() -> list[Observation]:
    return observations()


@pytest.fixture(scope="module")
def made(seen: list[Observation], prefect: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An installation with four scenes and a composite of them, made by the command."""
    home = Home(tmp_path_factory.mktemp("home"))
    registry = load_registry(home.configs)
    for one in seen:
        catalogue_product(one.publish(home.path), home, registry)
    code, said = run(home, "--method", "clearest")
    assert (code, said["outcome"], said["reasons"]) == (0, "published", []), said
    (item,) = said["items"]
    return home.path, f"{item['collection']}/{item['id']}"


@pytest.fixture
def home(made: tuple[Path, str], tmp_path: Path) -> Home:
    """A copy of it, to be changed."""
    return Home(shutil.copytree(made[0], tmp_path / "home", symlinks=True))


def run(home: Home, *more: str, area: str = "") -> tuple[int, dict[str, Any]]:
    """The command over June, or whatever else is said."""
    span = [] if "--start" in more else ["--start", "2026-06-01", "--end", "2026-06-30"]
    where = ["--area", area or f"{WEST},{SOUTH},{EAST},{NORTH}", "--home", str(home.path), "--json"]
    result = RUN.invoke(app, ["composite", "kazeosat-1-l1c", *where, *span, *more])
    return result.exit_code, json.loads(result.stdout)


def request(home: Home, **more: Any) -> CompositeRequest:
    asked = {"collection": "kazeosat-1-l1c", "area": f"{WEST},{SOUTH},{EAST},{NORTH}", "method": "clearest"}
    return CompositeRequest.model_validate(
        asked | {"home": str(home.path), "start": "2026-06-01", "end": "2026-06-30"} | more
    )


def item_of(home: Home, name: str) -> dict[str, Any]:
    item = open_store(home.catalogue).find_item(name)
    assert item is not None
    validate_item(item)
    assert item == json.loads((home.products / name / "item.json").read_text())
    return item


def files(home: Home, *rooms: str) -> dict[str, bytes]:
    return {
        path.relative_to(home.path).as_posix(): path.read_bytes()
        for room in rooms
        for path in sorted((home.path / room).rglob("*"))
        if path.is_file()
    }


def nothing_half(home: Home) -> bool:
    return not [path for path in home.staging.iterdir() if path.is_dir() and COLLECTION in path.name]


def test_the_command_makes_the_pixels_that_a_plain_loop_makes(made, seen):
    product = find_product(Home(made[0]), made[1])
    pixels = open_product(made[0] / product.archive_href, masked=False)
    affine = product.groups[0].transform
    first = round((several.NORTH - affine[5]) / several.PIXEL), round((affine[2] - several.EAST) / several.PIXEL)
    window = tuple(slice(start, start + size) for start, size in zip(first, pixels.red.shape, strict=True))
    expected = truth(seen, "clearest", AREA, window=window)
    assert (expected.count > 0).sum() > 1000
    assert np.array_equal(pixels.red.values, expected.stored[0])
    assert np.array_equal(pixels.nir.values, expected.stored[1])
    assert np.array_equal(pixels.qa.values, expected.flags)


def test_the_item_says_when_how_and_of_what(made, seen):
    home = Home(made[0])
    item = item_of(home, made[1])
    said = item["properties"]
    assert item["collection"] == COLLECTION
    assert (said["start_datetime"], said["end_datetime"]) == ("2026-06-01T05:20:11Z", "2026-06-04T05:20:11Z")
    assert said["datetime"] == said["end_datetime"], "who looks at one moment only sees the latest"
    assert (said["qyran:composite_method"], said["qyran:composite_items"]) == ("clearest", 4)
    assert (said["gsd"], said["processing:level"], said["product:type"]) == (4.0, "L3", "composite")
    assert 50 < said["qyran:coverage_percent"] < 100
    assert "eo:cloud_cover" not in said, "half of the scenes were not tested for cloud"
    sources = [f"kazeosat-1-l1c/{one.item}" for one in seen]
    assert said["qyran:parents"] == sources
    links = [link["href"] for link in item["links"] if link["rel"] == "derived_from"]
    assert [(home.products / made[1] / link).resolve() for link in links] == [
        (home.products / source / "item.json").resolve() for source in sources
    ]
    assert {"red", "nir", "qa", "observations", "day", "qa_observations", "visual", "thumbnail"} <= item[
        "assets"
    ].keys()
    assert item["assets"]["observations"]["roles"] == ["metadata", "observation-count"]
    assert item["assets"]["day"]["unit"] == "days since 1970-01-01"
    assert AREA.buffer(1e-4).contains(shapely.geometry.shape(item["geometry"])), "no pixel outside of the area"
    iso = (home.products / made[1] / "iso19139.xml").read_text()
    assert "<gml:beginPosition>2026-06-01T05:20:11Z" in iso
    assert "<gml:endPosition>2026-06-04T05:20:11Z" in iso
    collection = open_store(home.catalogue).get_collection(COLLECTION)
    assert collection is not None
    assert "observations" in collection["item_assets"]


def test_the_record_tells_what_each_item_gave(made, seen):
    product = find_product(Home(made[0]), made[1])
    said = product.quality["composition"]
    assert set(said["items"]) == {f"kazeosat-1-l1c/{one.item}" for one in seen}
    used = sum(part["used_percent"] for part in said["items"].values())
    assert used == pytest.approx(said["coverage_percent"], abs=0.01), "of the clearest, each pixel is one item's"
    assert said["observations_most"] == 4
    assert any("cloud was not looked for in 2 of 4" in warning for warning in product.quality["warnings"])
    table = composition_table(product)
    assert all(one.item in table for one in seen)
    assert "composition" not in quality_table(product)


def test_it_is_made_again_byte_for_byte_and_verified(made):
    home = Home(made[0])
    before = files(home, "archive", "products")
    found = reproduce(home, made[1], workers=2)
    assert found.identical, found.differences
    assert found.objects > 20
    assert files(home, "archive", "products") == before
    report = verify(home, deep=True)
    assert report.ok, report


def test_the_same_again_is_nothing_new_and_another_item_a_new_version(home, made, seen):
    code, said = run(home, "--method", "clearest")
    assert (code, said["reasons"]) == (0, ["already_published"])
    late = Observation(
        number=8, stored=np.full((2, 50, 50), 1500, np.uint16), flags=np.zeros((50, 50), np.uint16), row=20, column=20,
        zenith=0.0, days=9,
    )  # fmt: skip
    registry = load_registry(home.configs)
    catalogue_product(late.publish(home.path), home, registry)
    was = find_product(home, made[1]).revision
    (outcome,) = reprocess_items(ReprocessRequest(home=str(home.path), items=[made[1]]), report=None)
    assert outcome.changed
    assert (outcome.was, outcome.now) == (was, find_product(home, made[1]).revision)
    item = item_of(home, made[1])
    assert item["properties"]["end_datetime"] == "2026-06-10T05:20:11Z"
    assert len(item["properties"]["qyran:parents"]) == 5
    assert {"predecessor-version", "version-history"} <= {link["rel"] for link in item["links"]}
    assert reproduce(home, f"{made[1]}@{was}").identical, "the earlier one from the items of then"
    assert verify(home, deep=True).ok


def test_a_new_version_of_an_item_makes_the_composite_stale_until_it_is_composed_again(home, made, seen):
    registry = load_registry(home.configs)
    changed = seen[0].publish(home.path, lineage=synthetic.lineage("00", resampling="lanczos"))
    catalogue_product(changed, home, registry)
    said = item_of(home, made[1])["properties"]
    assert said["qyran:stale"] is True
    assert seen[0].item in said["qyran:stale_because"][0]
    (outcome,) = reprocess_items(ReprocessRequest(home=str(home.path), stale=True), report=None)
    assert outcome.changed
    assert "qyran:stale" not in item_of(home, made[1])["properties"]


def test_items_that_give_nothing_are_no_part_of_it(home, seen):
    """Nor do they hold it back: policy goes by what is in a product."""
    blind = Observation(
        number=9, stored=np.full((2, 50, 50), 1500, np.uint16), flags=np.full((50, 50), int(Qa.CLOUD), np.uint16),
        row=20, column=20, zenith=0.0, ce90_m=None, days=5,
    )  # fmt: skip
    catalogue_product(blind.publish(home.path), home, load_registry(home.configs))
    outcome = compose(request(home, method="median"), report=None)
    product = find_product(home, f"{outcome.items[0].collection}/{outcome.items[0].id}")
    assert product.parents == tuple(f"kazeosat-1-l1c/{one.item}" for one in seen)
    assert reproduce(home, product.id).identical


@pytest.mark.parametrize("area", ["-180,-90,180,90", "0,0,170,80"])
def test_who_asks_for_more_than_there_is_gets_all_there_is(home, seen, area):
    """The area of the record is the whole; one item that gives nothing, far away, changes nothing."""
    blind = Observation(
        number=7, stored=np.full((2, 50, 50), 1500, np.uint16), flags=np.full((50, 50), int(Qa.CLOUD), np.uint16),
        row=-20_000, column=20, zenith=0.0, days=6,
    )  # fmt: skip
    catalogue_product(blind.publish(home.path), home, load_registry(home.configs))
    around = f"{WEST - 0.02},{SOUTH - 0.02},{EAST + 0.02},{NORTH + 0.02}"
    names = []
    for asked in (around, area):
        code, said = run(home, "--method", "latest", area=asked)
        assert (code, said["outcome"], said["reasons"]) == (0, "published", []), said
        names.append(f"{said['items'][0]['collection']}/{said['items'][0]['id']}")
    few, whole = (find_product(home, name) for name in names)
    assert whole.id != few.id
    assert whole.parents == few.parents == tuple(f"kazeosat-1-l1c/{one.item}" for one in seen)
    assert whole.groups[0].transform == few.groups[0].transform
    first, second = (open_product(home.path / each.archive_href, masked=False) for each in (few, whole))
    for band in ("red", "nir", "qa"):
        assert np.array_equal(first[band].values, second[band].values)
    assert (second.red.values != 0).sum() > 1000
    covered = [each.quality["composition"]["coverage_percent"] for each in (few, whole)]
    assert 0 < covered[1] < 1e-6 < covered[0], "of what was asked for, and not of what there is"
    assert reproduce(home, whole.id).identical


REFUSED = {
    "another span": (["--start", "2025-06-01", "--end", "2025-06-30"], "composite.no_items"),
    "another place": (["--area", "10,10,11,11"], "composite.no_items"),
    "no such bands": (["--group", "pan"], "composite.no_items"),
    "another map": (["--crs", "EPSG:32644"], "composite.no_items"),
    "too few": (["--min-observations", "9"], "composite.nothing_clear"),
    "another recipe": (["--recipe", "ndvi"], "recipe.unknown"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_composed_is_rejected_with_a_reason_and_leaves_nothing(made, case):
    more, reason = REFUSED[case]
    home = Home(made[0])
    before = files(home, "archive", "products")
    code, said = run(home, *more)
    assert (code, said["outcome"], said["reasons"]) == (0, "rejected", [reason]), said
    assert said["message"]
    assert said["remedy"]
    assert files(home, "archive", "products") == before
    assert nothing_half(home)


def test_items_of_two_kinds_or_maps_are_not_mixed(home, seen):
    """Refused with the name of the odd one; with the map named, those of one map are composed."""
    registry = load_registry(home.configs)
    odd = synthetic.draft(("red", "nir"), item="KZ1_20260605T052011_0000000a_L1C", package="0a", visual=("red",),
                          acquired=several.FIRST + timedelta(days=4))  # fmt: skip
    other = synthetic.geobox((60, 60), 4.0, crs="EPSG:32644", origin=(165_400.0, 4_812_700.0))
    values = np.full((2, 60, 60), 0.2, np.float32)
    catalogue_product(synthetic_published(home, odd, values, other), home, registry)
    wide = "76.80,43.30,76.96,43.40"
    code, said = run(home, area=wide)
    assert (code, said["reasons"]) == (0, ["composite.grids"]), said
    code, said = run(home, "--crs", "EPSG:32643", area=wide)
    assert said["outcome"] == "published", said
    single = synthetic.draft(("red",), item="KZ1_20260606T052011_0000000b_L1C", package="0b", visual=("red",),
                             acquired=several.FIRST + timedelta(days=5))  # fmt: skip
    box = synthetic.geobox((60, 60), 4.0)
    catalogue_product(synthetic_published(home, single, values[:1], box, ("red",)), home, registry)
    code, said = run(home)
    assert (code, said["reasons"]) == (0, ["composite.mixed"]), said
    assert single.id in said["message"]
    assert nothing_half(home)


def synthetic_published(home: Home, draft: Any, values: np.ndarray, box: Any, bands: tuple[str, ...] = ("red", "nir")):
    from processing.archive.write import publish_product

    return publish_product(home.path, draft, [synthetic.image(values, box, bands)])


KINDS = [("open",) * 4, ("denied",) * 4, ("open", "open", "held", "open"), ("open", "open", None, "coarse")]


@pytest.mark.parametrize("kinds", KINDS, ids=["all open", "all denied", "one held", "one coarse, one unmarked"])
def test_a_composite_is_kept_from_whom_any_of_its_items_is_kept(home, seen, kinds):
    """By marks that somebody put on catalogued items, under a policy that goes by them."""
    with closing(open_store(home.catalogue)) as store:
        items = [store.get_item("kazeosat-1-l1c", one.item) for one in seen]
        for item, kind in zip(items, kinds, strict=True):
            assert item is not None
            item["properties"] |= {} if kind is None else {"test:kind": kind}
            store.put_item(item)
    outcome = compose(request(home, method="median"), report=None)
    folder = home.configs / "policies"
    (folder / "areas").mkdir(parents=True)
    (folder / f"{two_customers.NAME}.yaml").write_text(two_customers.POLICY)
    (folder / "areas" / f"{two_customers.NAME}.geojson").write_text(shapely.to_geojson(shapely.box(10, 10, 11, 11)))
    policy = load_policy(folder / f"{two_customers.NAME}.yaml")
    composite = item_of(home, f"{outcome.items[0].collection}/{outcome.items[0].id}")
    assert composite["properties"].get("test:kind") == (kinds[0] if len(set(kinds)) == 1 else None)
    now = datetime(2026, 11, 1, tzinfo=UTC)
    for customer_class in CustomerClass:
        party = Party(id="p", name="p", customer_class=customer_class)
        for action in Action:
            own, *theirs = (
                decide(product_facts(item), action, party, now, policy).effect.rank for item in (composite, *items)
            )
            assert own >= max(theirs), (customer_class, action)
            if kinds[0] == "open" and len(set(kinds)) == 1:
                assert own == max(theirs), "and no stricter than it must be"


def test_a_damaged_item_fails_the_run_and_leaves_nothing_half(home, seen):
    """One flipped byte of one input: told of by its object, and no composite is made of what is left."""
    shard = next((home.archive / f"kazeosat-1-l1c/{seen[1].item}.zarr").resolve().glob("measurements/*/*/red/c/0/0"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 3] ^= 1
    shard.write_bytes(content)
    before = files(home, "archive", "products")
    code, said = run(home, "--method", "median")
    assert (code, said["error"]["kind"]) == (1, "archive.corrupt"), said
    assert str(shard) in said["error"]["where"]
    assert files(home, "archive", "products") == before
    assert nothing_half(home)


def test_an_area_may_be_a_geojson_file_and_is_always_the_same_one(made, tmp_path):
    """However it is written: the same ground is the same composite."""
    ring = [[EAST, SOUTH], [EAST, NORTH], [WEST, NORTH], [WEST, SOUTH], [EAST, SOUTH]]
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "area.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    code, said = run(Home(made[0]), "--method", "clearest", area=str(tmp_path / "area.geojson"))
    assert (code, said["reasons"]) == (0, ["already_published"]), said
    assert [f"{item['collection']}/{item['id']}" for item in said["items"]] == [made[1]]
    once = CompositeRequest.model_validate(request(Home(made[0])).asked)
    assert once.asked == request(Home(made[0])).asked, "what a record keeps can be asked for again"


@pytest.mark.parametrize(
    ("area", "why"),
    [
        ("77,43,76,44", "west must lie before east"),
        ("76,43,77", "cannot be read"),
        ("76,43,190,44", "outside of"),
        ('{"type": "Point", "coordinates": [76, 43]}', "no polygon"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}', "no valid polygon"),
        ("nowhere", "cannot be read"),
    ],
)
def test_an_area_that_is_none_is_refused(area, why):
    with pytest.raises(BadInput, match=why) as refused:
        area_of(area)
    assert refused.value.kind == "composite.area"
    with pytest.raises(BadInput, match=why):
        composite_request(collection="kazeosat-1-l1c", area=area, start="2026-06-01", end="2026-06-30")


def test_a_span_begins_before_it_ends(made):
    code, said = run(Home(made[0]), "--start", "2026-06-02", "--end", "2026-06-01")
    assert (code, said["error"]["kind"]) == (1, "composite.request")
    assert "lies before the first" in said["error"]["message"]


def test_the_flow_names_its_run_and_shows_what_was_made(home):
    """By Prefect's own account of a run of it: name, state, and artifacts with figures, picture and links."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    from pipelines.composite import build_composite

    state = build_composite(request(home, method="latest"), return_state=True)
    assert (state.name, state.type.value) == ("Published", "COMPLETED")
    outcome = PackageOutcome.model_validate(state.result())
    assert outcome.outcome is Outcome.PUBLISHED
    run_id = state.state_details.flow_run_id
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(run_id)
        of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        artifacts = {each.key: each for each in client.read_artifacts(artifact_filter=of_run)}
    assert flow_run.name == "kazeosat-1-l1c 2026-06-01 2026-06-30 latest"
    kinds = {key.split("-")[0]: each for key, each in artifacts.items()}
    assert {"progress", "quality", "composition", "quicklook", "item", "report"} <= set(kinds)
    assert "used, % of the area" in str(kinds["composition"].data)
    empty = build_composite(request(home, start="2024-01-01", end="2024-02-01"), return_state=True)
    assert (empty.name, empty.type.value) == ("No items", "COMPLETED")


def test_its_deployment_offers_a_form_that_can_be_filled_in():
    from pipelines.composite import build_composite
    from pipelines.deployments import FLOWS, deployment_of
    from pipelines.limits import BACKGROUND

    assert build_composite in FLOWS
    deployment = deployment_of(build_composite)
    assert (deployment.name, deployment.work_queue_name) == ("build-composite", BACKGROUND)
    assert {"qyran", "products"} <= set(deployment.tags)
    assert "**median**" in str(deployment.description)
    definitions = deployment._parameter_openapi_schema.definitions
    fields = definitions["CompositeRequest"]["properties"]
    assert "kazeosat-1-l1c" in fields["collection"]["enum"]
    assert "kazeosat-1-ndvi" not in fields["collection"]["enum"]
    assert fields["recipe"]["enum"] == ["composite"]
    assert fields["start"]["format"] == "date"
    assert set(definitions["Method"]["enum"]) == {"median", "latest", "clearest"}
    assert "composite" not in definitions_of("derive-product", "ProductRequest")["recipe"]["enum"]


def definitions_of(flow: str, model: str) -> dict[str, Any]:
    from pipelines.deployments import FLOWS, deployment_of

    (wanted,) = [each for each in FLOWS if each.name == flow]
    found: dict[str, Any] = deployment_of(wanted)._parameter_openapi_schema.definitions[model]["properties"]
    return found


def test_a_scene_is_not_derived_into_a_composite_and_collections_are_valid(made, seen):
    from pipelines.derivation import derived_recipe
    from pipelines.drafts import applicable_recipes

    home = Home(made[0])
    registry = load_registry()
    with pytest.raises(BadInput, match="not a recipe for derived products"):
        derived_recipe("composite", registry)
    recipe = registry.recipes["composite"]
    for sensor in registry.sensors.values():
        validate_collection(to_collection(registry.missions[sensor.mission], sensor, recipe))
    assert applicable_recipes(find_product(home, seen[0].item), registry) == ("ndvi",)

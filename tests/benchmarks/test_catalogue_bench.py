"""``qyran bench catalogue``: valid items, questions that find something, figures that are those of the runs."""

import json
from contextlib import closing
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from catalogs import open_store
from catalogs.api.requests import SearchBody, search_request
from catalogs.validate import validate_collection, validate_item
from pipelines.bench import catalogue_items
from pipelines.bench.catalogue_report import renew_section, write_report
from pipelines.bench.catalogue_results import (
    EMBEDDED,
    PGSTAC,
    CatalogueBench,
    Ingested,
    Searched,
    Stage,
    describe,
    goals,
    percentile,
    shares,
)
from pipelines.cli import app

SVG = "{http://www.w3.org/2000/svg}"


def test_items_are_valid_and_the_same_every_time():
    made = list(catalogue_items.items(100, 140, seed=3))
    assert made == list(catalogue_items.items(100, 140, seed=3))
    assert made != list(catalogue_items.items(100, 140, seed=4))
    assert len({item["id"] for item in made}) == 40
    for item in made[::10]:
        validate_item(item)
    for collection in catalogue_items.collections():
        validate_collection(collection)


def test_questions_find_something_but_not_everything(tmp_path):
    with closing(open_store(tmp_path)) as store:
        for collection in catalogue_items.collections():
            store.put_collection(collection)
        store.put_items(catalogue_items.items(0, 1500, seed=1))
        for kind in catalogue_items.KINDS:
            asked = catalogue_items.questions(kind, 20, seed=1)
            found = [len(store.search(search_request(SearchBody.model_validate(body))).items) for body in asked]
            assert sum(found) > 10, kind
            assert max(found) <= 100


def test_percentiles_are_numpys():
    dice = np.random.default_rng(2)
    for count in (1, 2, 7, 100):
        seconds = dice.exponential(size=count).tolist()
        for percent in (50, 95):
            assert percentile(seconds, percent) == pytest.approx(np.percentile(seconds, percent))


def stage(items: int, ours: float, theirs: float | None) -> Stage:
    stores = {EMBEDDED: ours} | ({} if theirs is None else {PGSTAC: theirs})
    times = {
        name: {kind: [scale, scale, 3 * scale] for kind in catalogue_items.KINDS} for name, scale in stores.items()
    }
    return Stage(
        items=items,
        ingested={
            name: Ingested(
                items=items, cpu_s=2.0, server_cpu_s=0.0 if name == EMBEDDED else 6.0, wall_s=9.0, memory_bytes=[1],
                peak_rss_bytes=items,
            )
            for name in stores
        },
        searched={
            name: Searched(store_s=times[name], server_s=times[name], server_peak_rss_bytes=1) for name in stores
        },
        disk_bytes=dict.fromkeys(stores, 10**6),
    )  # fmt: skip


def test_ratios_and_goals(tmp_path):
    result = CatalogueBench(
        machine={"processor": "p", "cpus": 2, "load": 0.1}, questions=3, seed=1, versions={"qyran": "1"},
        stages=(stage(10_000, 0.01, 0.05), stage(20_000, 0.02, None)),
    )  # fmt: skip
    kind = catalogue_items.KINDS[0]
    assert shares(result.stages[0])[kind]["p50"] == pytest.approx(0.2)
    assert shares(result.stages[1]) == {}
    held = goals(result)
    assert held["ingest_items_per_cpu_s"]["found"] == 10_000
    for percent in ("p50", "p95"):
        asked = {"items": 10_000, "asked_at_most": 1 / 3, "found": pytest.approx(0.2)}
        assert held[f"{percent}_share_of_pgstac"] == asked
    assert held["ingest_memory_growth"]["found"] == 2.0
    assert result.stages[0].ingested[PGSTAC].rate == 1_250
    text = describe(result)
    assert "| 10,000 | embedded in parts of pgstac's | 0.20 / 0.20 |" in text
    assert "| 20,000 | embedded (SQLite) | 20 / 56 (20 / 56) |" in text
    write_report(result, tmp_path)
    written = json.loads((tmp_path / "catalogue.json").read_text())
    assert written["goals"].keys() == held.keys()
    assert written["stages"][0]["share_of_pgstac"][kind]["p95"] == pytest.approx(0.2)
    picture = ElementTree.parse(tmp_path / "catalogue.svg").getroot()
    dots = [one for one in picture.iter(f"{SVG}circle") if one.get("r") == "4.5" and one.get("cy") != "43"]
    # Higher is slower: p50 of 10 and 50 ms with the fewer items, of 20 ms with the more.
    assert len(dots) == 3 * len(catalogue_items.KINDS)
    first, second, third = (float(one.get("cy")) for one in dots[:3])
    assert second < third < first
    readme = tmp_path / "README.md"
    readme.write_text("<!-- qyran bench catalogue -->\n<!-- /qyran bench catalogue -->\n")
    renew_section(result, readme, tmp_path)
    assert "![Time of questions](catalogue.svg)" in readme.read_text()
    assert "| 10,000 | embedded (SQLite) |" in readme.read_text()


@pytest.mark.services
def test_it_measures_the_real_server(tmp_path):
    command = [
        "bench",
        "catalogue",
        "--home",
        str(tmp_path),
        "--items",
        "200",
        "--pgstac-most",
        "0",
        "--questions",
        "2",
    ]
    readme = tmp_path / "README.md"
    readme.write_text("above\n<!-- qyran bench catalogue -->\nold\n<!-- /qyran bench catalogue -->\nbelow\n")
    done = CliRunner().invoke(app, [*command, "--readme", str(readme), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    (only,) = found["stages"]
    assert only["items"] == 200
    assert all(len(s) == 2 and min(s) > 0 for s in only["searched"][EMBEDDED]["server_s"].values())
    assert found["without_pgstac"] is None
    assert readme.read_text().startswith("above\n<!-- qyran bench catalogue -->\nSynthetic items")
    assert list((tmp_path / "bench").iterdir()) == []

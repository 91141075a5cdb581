"""``qyran bench flow``: figures that are those of what was seen, from scenes that an installation really processed."""

import json

import pytest
from typer.testing import CliRunner

from pipelines.bench.flow_kind import SceneKind
from pipelines.bench.flow_results import Alone, Orchestrated, describe, held_against, section_of, write_report
from pipelines.bench.flow_scenes import make_scenes
from pipelines.cli import app

ALONE = [
    Alone(sensor="near", wall_s=2.0, cpu_s=3.0),
    Alone(sensor="far", wall_s=4.0, cpu_s=7.0),
    Alone(sensor="far", wall_s=6.0, cpu_s=9.0),
    Alone(sensor="near", wall_s=3.0, cpu_s=5.0),
]


def seen(ended: list[float], sensors: list[str]) -> Orchestrated:
    return Orchestrated(
        dropped=100.0, ended=ended, sensors=sensors, cpu_s=50.0, locked=0, pages=[10.0, 30.0], side_by_side=2
    )


def test_overhead_is_what_comes_on_top_of_the_same_sensors_scenes(tmp_path):
    """Of the scenes after the first two: three of 5 s and one of 2.5 s in 22 s, so 5.5 s against 4.375 s."""
    found = held_against(
        seen([120, 121, 127, 131, 139, 143], ["far", "near", "far", "far", "near", "far"]), ALONE, SceneKind.DEMO
    )
    assert found.scene_s == 5.5
    assert found.alone_s == pytest.approx(4.375, abs=0.01)
    assert found.overhead_s == pytest.approx(1.125, abs=0.01)
    assert found.overhead_percent == pytest.approx(100 * 1.125 / 4.375, abs=0.1)
    assert found.scenes_per_hour == pytest.approx(3600 / 5.5, abs=0.1)
    assert found.cpu_s == pytest.approx(50 / 6, abs=0.01)
    assert found.alone_cpu_s == pytest.approx((4 * 8 + 2 * 4) / 6, abs=0.01)
    assert (found.wall_s, found.latency_p50_s) == (43, 29)
    write_report(found, tmp_path)
    assert json.loads((tmp_path / "flow-demo.json").read_text()) == found.document()
    assert "6 scenes of the demo" in (tmp_path / "flow-demo.md").read_text()
    assert section_of(SceneKind.DEMO) != section_of(SceneKind.SMALL)


def test_fewer_scenes_than_are_processed_side_by_side():
    found = held_against(seen([110, 114], ["near", "near"]), ALONE, SceneKind.SMALL)
    assert found.scene_s == 4
    assert found.alone_s == 2.5
    assert "**2 small scenes from landing to catalogue**" in describe(found)


def test_small_scenes_are_each_of_a_name_and_a_moment_of_their_own(tmp_path):
    scenes = make_scenes(SceneKind.SMALL, 5, tmp_path / "made")
    assert len({package.name for package in scenes.packages}) == 5
    assert set(scenes.sensors) == {package.name for package in scenes.packages}
    placed = scenes.placed(tmp_path / "placed", scenes.packages[:2])
    assert [sorted(file.name for file in one.iterdir()) for one in placed] == [
        sorted(file.name for file in one.iterdir()) for one in scenes.packages[:2]
    ]


@pytest.mark.services
def test_scenes_go_from_landing_to_catalogue(tmp_path):
    arguments = ["bench", "flow", "--home", str(tmp_path), "--scenes", "4", "--baseline", "2",
                 "--report", str(tmp_path / "report"), "--json"]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads(result.stdout)
    assert (found["scenes"], found["published"], found["locked"]) == (4, 4, 0)
    assert found["cpu_s"] > found["alone_cpu_s"] > 0
    assert found["latency_p50_s"] <= found["latency_p95_s"] <= found["wall_s"]
    assert json.loads((tmp_path / "report" / "flow.json").read_text()) == found
    assert list((tmp_path / "bench").iterdir()) == []

"""Passes against two independent propagators, and at the edges where predictions go wrong."""

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import shapely
from pyorbital import astronomy
from pyorbital.orbital import Orbital
from pyproj import Geod
from skyfield.api import EarthSatellite, load, wgs84

from configs.load import ConfigError
from configs.operations import load_operations, load_stations
from configs.registry import load_registry
from configs.schema import MissionConfig
from configs.schema.stations import MaskPoint, StationConfig
from configs.settings import Home
from pipelines.passes import Wanted, forecast, forecast_document
from pipelines.passes_find import Pass, find_passes
from pipelines.passes_orbit import Orbit
from pipelines.passes_targets import Opportunity, Target, opportunities, read_targets
from pipelines.tle import parse_tle
from processing.model.errors import BadInput
from processing.testing.orbit import KAZEOSAT_1, KAZEOSAT_2

# skyfield 1.55 sets an array's dtype, which numpy 2.5 discourages.
pytestmark = pytest.mark.filterwarnings("ignore:Setting the dtype:DeprecationWarning:skyfield")
QYRAN = str(Path(sys.executable).with_name("qyran"))
START = datetime(2026, 4, 24, 12, tzinfo=UTC)
TEXT = "\n".join(f"{each.name}\n{each.line1}\n{each.line2}" for each in (KAZEOSAT_1, KAZEOSAT_2))
FIRST, SECOND = parse_tle(TEXT, "test")
ASTANA = StationConfig(id="astana", title={"en": "Astana"}, lon=71.43, lat=51.13, height_m=318)
POLE = ASTANA.model_copy(update={"lon": 0.0, "lat": 90.0, "height_m": 2800.0})
EQUATOR = ASTANA.model_copy(update={"lon": 180.0, "lat": 0.0, "height_m": 0.0, "min_elevation_deg": 0.0})


def orbit(elements: object = FIRST, start: datetime = START) -> Orbit:
    return Orbit(elements=elements, origin=start)  # type: ignore[arg-type]


def seconds(one: datetime, other: datetime) -> float:
    return abs((one - other).total_seconds())


@pytest.mark.parametrize(
    ("station", "elements"),
    [(ASTANA, FIRST), (ASTANA, SECOND), (POLE, SECOND), (EQUATOR, FIRST)],
    ids=["Astana KazEOSat-1", "Astana KazEOSat-2", "pole", "date line"],
)
def test_a_week_of_passes_agrees_with_skyfield(elements: object, station: StationConfig) -> None:
    found = find_passes(orbit(elements), station, 7.0)
    scale = load.timescale(builtin=True)
    satellite = EarthSatellite(elements.line1, elements.line2, ts=scale)  # type: ignore[attr-defined]
    site = wgs84.latlon(station.lat, station.lon, station.height_m)
    times, kinds = satellite.find_events(
        site,
        scale.from_datetime(START),
        scale.from_datetime(START + timedelta(days=7)),
        altitude_degrees=station.min_elevation_deg,
    )
    mine = [(when, kind) for each in found for kind, when in enumerate((each.aos, each.tca, each.los))]
    mine = [(when, kind) for when, kind in mine if START <= when <= START + timedelta(days=7)]
    assert len(found) >= 25
    assert [kind for _, kind in mine] == list(kinds)
    assert max(seconds(one, other.utc_datetime()) for (one, _), other in zip(mine, times, strict=True)) < 0.5
    heights = [(satellite - site).at(scale.from_datetime(each.tca)).altaz() for each in found]
    assert max(abs(each.max_elevation_deg - sky[0].degrees) for each, sky in zip(found, heights, strict=True)) < 0.05
    below = [wgs84.subpoint(satellite.at(scale.from_datetime(each.tca))) for each in found]
    _, _, apart = Geod(ellps="WGS84").inv(
        [each.nadir[0] for each in found],
        [each.nadir[1] for each in found],
        [place.longitude.degrees for place in below],
        [place.latitude.degrees for place in below],
    )
    assert np.max(apart) < 1_500


@pytest.mark.parametrize("elements", [FIRST, SECOND], ids=["KazEOSat-1", "KazEOSat-2"])
def test_a_week_of_passes_agrees_with_another_sgp4(elements: object) -> None:
    """pyorbital has an SGP4 of its own; skyfield shares ours."""
    found = find_passes(orbit(elements), ASTANA, 7.0)
    other = Orbital(elements.name, line1=elements.line1, line2=elements.line2)  # type: ignore[attr-defined]
    theirs = other.get_next_passes(
        START.replace(tzinfo=None), 168, ASTANA.lon, ASTANA.lat, ASTANA.height_m / 1000, tol=0.001, horizon=5
    )
    assert len(found) == len(theirs)
    for each, (rise, fall, _) in zip(found, theirs, strict=True):
        assert seconds(each.aos, rise.replace(tzinfo=UTC)) < 2.0
        assert seconds(each.los, fall.replace(tzinfo=UTC)) < 2.0
        # Its own search for the highest point fits a parabola, which a pass through the zenith is none of.
        around = np.datetime64(each.tca.replace(tzinfo=None)) + np.arange(-5000, 5001, 100).astype("timedelta64[ms]")
        _, height = other.get_observer_look(around, ASTANA.lon, ASTANA.lat, ASTANA.height_m / 1000)
        assert abs(np.argmax(height) - 50) < 20
        azimuth, elevation = other.get_observer_look(
            each.tca.replace(tzinfo=None), ASTANA.lon, ASTANA.lat, ASTANA.height_m / 1000
        )
        assert abs(each.max_elevation_deg - elevation) < 0.1
        assert abs((each.tca_azimuth_deg - azimuth + 180) % 360 - 180) < 0.5 / np.cos(np.radians(elevation))
        zenith = astronomy.sun_zenith_angle(each.tca.replace(tzinfo=None), ASTANA.lon, ASTANA.lat)
        assert abs(each.sun_elevation_deg - (90 - zenith)) < 0.05
        below = astronomy.sun_zenith_angle(each.tca.replace(tzinfo=None), *each.nadir)
        assert abs(each.nadir_sun_elevation_deg - (90 - below)) < 0.05
        assert each.orbit == other.get_orbit_number(each.tca.replace(tzinfo=None), tbus_style=False)


def test_orbits_are_counted_at_ascending_nodes_whatever_the_distance_from_the_epoch() -> None:
    scale = load.timescale(builtin=True)
    satellite = EarthSatellite(SECOND.line1, SECOND.line2, ts=scale)
    for far in (-40, 3, 120):
        start = SECOND.epoch + timedelta(days=far)
        moments = [start + timedelta(minutes=count) for count in range(300)]
        numbers = orbit(SECOND, start).revolution([60.0 * count for count in range(300)])
        north = [satellite.at(scale.from_datetime(when)).position.km[2] >= 0 for when in moments]
        risen = [later for later, (one, two) in enumerate(pairwise(north), start=1) if two and not one]
        assert list(np.flatnonzero(np.diff(numbers)) + 1) == risen
    assert orbit(SECOND, SECOND.epoch).revolution(1.0)[0] == SECOND.revolution


def test_a_pass_under_way_at_either_end_is_told_whole_and_once() -> None:
    whole = find_passes(orbit(), ASTANA, 2.0)[3]
    middle = whole.tca + timedelta(seconds=1)
    after = find_passes(orbit(start=middle), ASTANA, 0.2)
    before = find_passes(orbit(), ASTANA, (middle - START).total_seconds() / 86400)
    for found in (after[0], before[-1]):
        assert seconds(found.aos, whole.aos) <= 0.003
        assert seconds(found.los, whole.los) <= 0.003
        assert found.orbit == whole.orbit
    assert find_passes(orbit(start=whole.los + timedelta(seconds=1)), ASTANA, 0.02) == ()
    gone = find_passes(orbit(), ASTANA, (whole.aos - START).total_seconds() / 86400 - 1e-5)
    assert gone[-1].orbit < whole.orbit


def test_a_grazing_pass_lasts_as_long_as_it_does() -> None:
    """One that stays above the skyline for less than a step, and one that just does not reach it."""
    highest = find_passes(orbit(), ASTANA, 2.0)[3]
    for above, expected in ((-0.001, True), (0.001, False)):
        limit = highest.max_elevation_deg + above
        found = find_passes(orbit(), ASTANA.model_copy(update={"min_elevation_deg": limit}), 2.0)
        same = [each for each in found if each.orbit == highest.orbit]
        assert bool(same) is expected
        for each in same:
            assert 0.0 < each.duration_s < 20.0
            assert each.aos <= each.tca <= each.los


def test_a_mountain_hides_part_of_a_pass() -> None:
    clear = find_passes(orbit(), ASTANA, 2.0)
    chosen = max(clear, key=lambda each: each.max_elevation_deg)
    peak = round(chosen.tca_azimuth_deg)
    wall = tuple(
        MaskPoint(azimuth_deg=azimuth % 360, elevation_deg=elevation)
        for azimuth, elevation in sorted(
            [((peak - 6) % 360, 5.0), ((peak - 5) % 360, 89.0), ((peak + 5) % 360, 89.0), ((peak + 6) % 360, 5.0)]
        )
    )
    behind = find_passes(orbit(), ASTANA.model_copy(update={"mask": wall}), 2.0)
    same = next(each for each in behind if each.orbit == chosen.orbit)
    assert (same.aos, same.los) == (chosen.aos, chosen.los)
    assert 1.0 < same.hidden_s < chosen.duration_s
    assert all(each.hidden_s == 0.0 for each in clear)


def test_a_mask_is_closed_through_north() -> None:
    from pipelines.passes_find import skyline_of

    points = (MaskPoint(azimuth_deg=90, elevation_deg=10), MaskPoint(azimuth_deg=350, elevation_deg=20))
    skyline = skyline_of(ASTANA.model_copy(update={"mask": points}))
    assert skyline(np.array([90.0, 350.0, 40.0, 0.0])) == pytest.approx([10.0, 20.0, 15.0, 19.0])


def test_no_pass_is_an_empty_answer(tmp_path: Path) -> None:
    first = find_passes(orbit(), ASTANA, 1.0)[0]
    (tmp_path / "t.tle").write_text(TEXT)
    wanted = Wanted(start=first.los + timedelta(seconds=2), days=0.01, tle=tmp_path / "t.tle", satellite="39731")
    found = forecast(Home(tmp_path), wanted)
    assert found.passes == ()
    assert forecast_document(found)["passes"] == []


# -- targets

KZ1 = load_registry().missions["kazeosat-1"]


def chances(target: Sequence[tuple[float, float]], mission: MissionConfig = KZ1, days: float = 3) -> list[Opportunity]:
    return list(opportunities(orbit(), mission, Target(name="t", vertices=tuple(target)), days))


def _below(elements: object, when: datetime) -> tuple[float, float]:
    scale = load.timescale(builtin=True)
    satellite = EarthSatellite(elements.line1, elements.line2, ts=scale)  # type: ignore[attr-defined]
    place = wgs84.subpoint(satellite.at(scale.from_datetime(when)))
    return place.longitude.degrees, place.latitude.degrees


def test_a_place_on_the_ground_track_needs_no_roll() -> None:
    when = START + timedelta(hours=5, minutes=7)
    each = min(chances([_below(FIRST, when)]), key=lambda one: abs(one.roll_deg))
    assert seconds(each.time, when) < 0.3
    assert abs(each.roll_deg) < 0.05
    assert each.least_roll_deg == 0.0
    assert each.view_zenith_deg < 0.2
    assert each.covered_percent == 100.0


@pytest.mark.parametrize("side", [-300_000.0, 300_000.0])
def test_the_roll_and_its_side(side: float) -> None:
    """A place 300 km off the track: the roll from plane trigonometry on a sphere of the local radius."""
    when = START + timedelta(hours=5, minutes=7)
    here, soon = _below(FIRST, when), _below(FIRST, when + timedelta(seconds=1))
    geod = Geod(ellps="WGS84")
    heading = geod.inv(*here, *soon)[0]
    lon, lat, _ = geod.fwd(*here, heading + np.sign(side) * 90, abs(side))
    each = min(chances([(lon, lat)]), key=lambda one: seconds(one.time, when))
    scale = load.timescale(builtin=True)
    place = wgs84.subpoint(EarthSatellite(FIRST.line1, FIRST.line2, ts=scale).at(scale.from_datetime(when)))
    radius, height = 6_371_000.0, place.elevation.m
    turned = abs(side) / radius
    expected = np.degrees(np.arctan2(radius * np.sin(turned), radius + height - radius * np.cos(turned)))
    assert seconds(each.time, when) < 1.0
    assert np.sign(each.roll_deg) == np.sign(side)
    assert abs(each.roll_deg) == pytest.approx(expected, abs=0.15)
    zenith = astronomy.sun_zenith_angle(each.time.replace(tzinfo=None), lon, lat)
    assert each.sun_elevation_deg == pytest.approx(90 - zenith, abs=0.05)


def test_beyond_the_roll_limit_there_is_no_chance_and_at_its_edge_half_a_one() -> None:
    place = [_below(FIRST, START + timedelta(hours=5, minutes=7))]
    far = KZ1.model_copy(update={"roll_limit_deg": 60.0})
    every = chances(place, far, days=10)
    assert {each.time for each in chances(place, days=10)} < {each.time for each in every}
    for each in chances(place, days=10):
        assert abs(each.roll_deg) <= 35.0
    wide = next(each for each in every if abs(each.roll_deg) > 36.0)
    assert wide.time not in {each.time for each in chances(place, days=10)}


def test_an_area_wider_than_the_swath_is_covered_in_part() -> None:
    places = (_below(FIRST, START + timedelta(minutes=count)) for count in range(100))
    lon, lat = next(place for place in places if abs(place[1]) < 4.0)
    degrees = 40.0 / (111.32 * np.cos(np.radians(lat)))
    box = list(shapely.box(lon - degrees / 2, lat - 0.01, lon + degrees / 2, lat + 0.01).exterior.coords)
    each = min(chances(box), key=lambda one: abs(one.roll_deg))
    assert each.covered_percent == pytest.approx(50.0, abs=3.0)
    assert each.begin < each.time < each.end


def test_an_area_across_the_antimeridian_is_one_area() -> None:
    across = [(179.5, 66.0), (-179.5, 66.0), (-179.5, 66.4), (179.5, 66.4)]
    shifted = [(lon % 360.0, lat) for lon, lat in across]
    found = chances(across)
    assert found == chances(shifted)
    assert found
    assert all(abs(abs(each.lon) - 180.0) < 0.01 for each in found)
    assert all((each.end - each.begin).total_seconds() < 30 for each in found)


def test_targets_are_read_and_wrong_ones_refused(tmp_path: Path) -> None:
    point = {"type": "Feature", "properties": {"name": "A"}, "geometry": {"type": "Point", "coordinates": [70, 50]}}
    only = {**point, "properties": {"missions": ["kazeosat-2"]}}
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [point, only]}))
    first, second = read_targets(tmp_path)
    assert (first.name, second.name, second.missions) == ("A", "a 2", ("kazeosat-2",))
    assert opportunities(orbit(), KZ1, second, 1.0) == ()
    assert read_targets(tmp_path / "none") == ()
    for wrong in ("{", "[]", json.dumps({**point, "geometry": None}), json.dumps({"type": "Point"})):
        (tmp_path / "a.geojson").write_text(wrong)
        with pytest.raises(BadInput) as caught:
            read_targets(tmp_path)
        assert caught.value.kind == "targets.unreadable"
    metres = {**point, "geometry": {"type": "Point", "coordinates": [500_000, 5_000_000]}}
    (tmp_path / "a.geojson").write_text(json.dumps(metres))
    with pytest.raises(BadInput, match="degrees"):
        read_targets(tmp_path)


# -- the forecast


def _home(folder: Path, text: str = TEXT) -> Home:
    (folder / "auxiliary" / "tle").mkdir(parents=True)
    (folder / "auxiliary" / "tle" / "today.tle").write_text(text)
    return Home(folder)


def test_every_moment_of_imaging_belongs_to_the_pass_that_brings_it_down(tmp_path: Path) -> None:
    home = _home(tmp_path)
    (home.configs / "targets").mkdir(parents=True)
    place = {
        "type": "Feature",
        "properties": {"name": "Almaty"},
        "geometry": {"type": "Point", "coordinates": [77, 43]},
    }
    (home.configs / "targets" / "t.geojson").write_text(json.dumps(place))
    found = forecast(home, Wanted(start=START, days=4.0))
    assert {each.station for each in found.passes} == {"astana"}
    assert {each.mission for each in found.passes} == {"kazeosat-1", "kazeosat-2"}
    for mission in ("kazeosat-1", "kazeosat-2"):
        mine = [each for each in found.passes if each.mission == mission]
        assert all(later.imaged_from == before.what.los for before, later in pairwise(mine))
        assert len({each.key for each in mine}) == len(mine)
    by_key = {each.key: each for each in found.passes}
    assert found.targets
    for chance in found.targets:
        if chance.downlink is not None:
            down = by_key[chance.downlink]
            assert down.mission == chance.mission
            assert down.imaged_from < chance.what.time <= down.what.los


def test_elements_grow_stale_and_are_refused(tmp_path: Path) -> None:
    home = _home(tmp_path)
    assert forecast(home, Wanted(start=START, days=0.5)).warnings == ()
    later = forecast(home, Wanted(start=START + timedelta(days=10), days=0.5))
    assert len(later.warnings) == 2
    assert "10 days old" in later.warnings[0]
    with pytest.raises(BadInput) as caught:
        forecast(home, Wanted(start=START + timedelta(days=40), days=0.5))
    assert caught.value.kind == "tle.stale"
    given = Wanted(start=START + timedelta(days=40), days=0.5, tle=home.path / "auxiliary" / "tle" / "today.tle")
    assert len(forecast(home, given).warnings) == 2
    (home.configs).mkdir()
    (home.configs / "operations.yaml").write_text("passes: {tle_refused_days: 60}\n")
    assert forecast(home, Wanted(start=START + timedelta(days=40), days=0.5)).passes


def test_a_broken_file_of_elements_takes_no_other_with_it(tmp_path: Path) -> None:
    home = _home(tmp_path)
    (home.path / "auxiliary" / "tle" / "broken.tle").write_text(TEXT[:100])
    found = forecast(home, Wanted(start=START, days=0.5))
    assert found.passes
    assert "broken.tle" in found.warnings[0]


def test_unknown_stations_and_satellites_are_told(tmp_path: Path) -> None:
    home = _home(tmp_path)
    for wanted, kind in (
        (Wanted(start=START, station="nowhere"), "passes.station_unknown"),
        (Wanted(start=START, satellite="nothing"), "passes.no_satellite"),
        (Wanted(start=START, days=99), "passes.days"),
    ):
        with pytest.raises(BadInput) as caught:
            forecast(home, wanted)
        assert caught.value.kind == kind
    empty = Home(tmp_path / "empty")
    with pytest.raises(BadInput) as caught:
        forecast(empty, Wanted(start=START))
    assert caught.value.kind == "tle.missing"


def test_stations_are_an_operators_own(tmp_path: Path) -> None:
    missions = load_registry().missions
    assert {"astana", "almaty"} <= set(load_stations(None, missions))
    (tmp_path / "stations").mkdir()
    mine = tmp_path / "stations" / "mine.yaml"
    mine.write_text("{id: mine, title: {en: Mine}, lon: 70, lat: 50, height_m: 300, missions: [kazeosat-1]}")
    assert load_stations(tmp_path, missions)["mine"].missions == ("kazeosat-1",)
    mask = "mask: [{azimuth_deg: 9, elevation_deg: 1}, {azimuth_deg: 8, elevation_deg: 1}]"
    for wrong in (
        "{id: mine, title: {en: Mine}, lon: 70, lat: 50, height_m: 300, missions: [unknown]}",
        "{id: mine, title: {en: Mine}, lon: 70, lat: 95, height_m: 300}",
        "{id: mine, title: {en: Mine}, lon: 70, lat: 50, height: 300}",
        f"{{id: mine, title: {{en: Mine}}, lon: 70, lat: 50, height_m: 300, {mask}}}",
    ):
        mine.write_text(wrong)
        with pytest.raises(ConfigError):
            load_stations(tmp_path, missions)
    (tmp_path / "operations.yaml").write_text("passes: {tle_stale_days: 9, tle_refused_days: 8}\n")
    with pytest.raises(ConfigError):
        load_operations(tmp_path)


@pytest.mark.realdata
def test_the_command_on_real_elements(realdata: Path, tmp_path: Path) -> None:
    file = realdata / "tle" / "eo_sats_2026-04-24.tle"
    command = [QYRAN, "passes", "--tle", str(file), "--station", "Astana", "--start", "2026-04-24T12:00", "--days", "2"]
    plain = subprocess.run([*command, "--home", str(tmp_path)], capture_output=True, text=True, check=True)
    told = subprocess.run([*command, "--home", str(tmp_path), "--json"], capture_output=True, text=True, check=True)
    document = json.loads(told.stdout)
    assert {each["satellite"] for each in document["passes"]} == {"KAZEOSAT 1", "KAZEOSAT 2"}
    assert told.stderr == ""
    for each in document["passes"]:
        assert str(each["orbit"]) in plain.stdout
        assert each["aos"][11:19] in plain.stdout
    assert "UTC" in plain.stdout
    wrong = subprocess.run([*command, "--start", "yesterday"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2


def test_times_are_in_order(tmp_path: Path) -> None:
    found: tuple[Pass, ...] = find_passes(orbit(), POLE, 1.0)
    assert len(found) in (14, 15)
    assert all(one.los < two.aos for one, two in pairwise(found))
    assert all(each.aos < each.tca < each.los for each in found)

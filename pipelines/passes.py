"""The forecast: which satellite passes which station when, what it can image, and which pass brings that down."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from configs.operations import load_operations, load_stations
from configs.registry import load_registry
from configs.schema import MissionConfig
from configs.schema.operations import PassRules
from configs.schema.stations import StationConfig
from configs.settings import Home
from pipelines.passes_find import Pass, find_passes, light, windows_before
from pipelines.passes_orbit import Orbit
from pipelines.passes_targets import Opportunity, opportunities, read_targets
from pipelines.tle import REMEDY, Elements, age_warnings, installed_tle, nearest, read_tle
from processing.model.errors import BadInput

MAX_DAYS = 60.0
KEPT_ON_BOARD = timedelta(days=1)
"""How long before a pass it may have been imaged what the pass brings, if no pass was between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationPass:
    """One satellite's pass over one station."""

    satellite: str
    mission: str | None
    """None: a satellite that no mission is configured for."""
    norad_id: int
    station: str
    what: Pass
    imaged_from: datetime
    """What it brings was imaged since then, and until it ends."""

    @property
    def key(self) -> str:
        """Its name for as long as it is planned: new elements move a pass, but not the orbit it belongs to."""
        return f"{self.mission or self.norad_id}-{self.what.orbit}-{self.station}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPass:
    """One satellite's opportunity to image one target, and the key of the pass that brings it down, if one is known."""

    satellite: str
    mission: str
    what: Opportunity
    downlink: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """All of it, by time."""

    start: datetime
    end: datetime
    stations: tuple[StationConfig, ...]
    elements: tuple[Elements, ...]
    passes: tuple[StationPass, ...]
    targets: tuple[TargetPass, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be forecast."""

    start: datetime
    days: float = 3.0
    tle: Path | None = None
    """A file to take in the place of HOME's; then old elements are warned of, never refused."""
    station: str | None = None
    """Its id or title; None: every one that receives something."""
    satellite: str | None = None
    """Mission, name or NORAD id; None: those that the station receives."""


def forecast(home: Home, wanted: Wanted) -> Forecast:
    """Predict passes and opportunities.

    Raises
    ------
    BadInput
        ``tle.*``, ``targets.*``, ``passes.*``.
    """
    if not 0.0 < wanted.days <= MAX_DAYS:
        raise BadInput(f"from a moment to {MAX_DAYS:g} days can be forecast", kind="passes.days")
    missions = load_registry(home.configs).missions
    stations = _stations(load_stations(home.configs, missions), wanted.station)
    warnings: list[str] = []
    served = _served(_elements(home, wanted, warnings), stations, missions, wanted)
    served = _fresh(served, wanted, load_operations(home.configs).passes, warnings)
    targets = read_targets(home.configs / "targets")
    passes: list[StationPass] = []
    imaged: list[TargetPass] = []
    for each, mission, receiving in served:
        orbit = Orbit(elements=each, origin=wanted.start.astimezone(UTC))
        mine = _passes(orbit, mission, receiving, wanted.days)
        passes += mine
        if mission is not None:
            chances = [chance for target in targets for chance in opportunities(orbit, mission, target, wanted.days)]
            imaged += [_brought_down(chance, each, mission, mine) for chance in chances]
    return Forecast(
        start=wanted.start.astimezone(UTC),
        end=wanted.start.astimezone(UTC) + timedelta(days=wanted.days),
        stations=tuple(stations),
        elements=tuple(each for each, _, _ in served),
        passes=tuple(sorted(passes, key=lambda each: (each.what.aos, each.station))),
        targets=tuple(sorted(imaged, key=lambda each: each.what.time)),
        warnings=tuple(warnings),
    )


def _stations(known: Mapping[str, StationConfig], name: str | None) -> list[StationConfig]:
    if name is None:
        return [station for station in known.values() if station.missions]
    for station in known.values():
        if name.casefold() in {station.id, *(title.casefold() for title in station.title.values())}:
            return [station]
    raise BadInput(
        f"there is no station '{name}'",
        kind="passes.station_unknown",
        remedy=f"Known: {', '.join(known)}. Others are added as YAML in HOME/configs/stations.",
    )


def _elements(home: Home, wanted: Wanted, warnings: list[str]) -> list[Elements]:
    """Of each satellite the elements nearest to the start."""
    if wanted.tle is not None:
        found = read_tle(wanted.tle)
    else:
        found, broken = installed_tle(home)
        warnings += broken
        if not found:
            remedy = REMEDY + " Or give a file with --tle."
            raise BadInput("there are no two-line elements", kind="tle.missing", where=str(home.path), remedy=remedy)
    return list(nearest(found, wanted.start).values())


def _fresh(served: "list[_Served]", wanted: Wanted, rules: PassRules, warnings: list[str]) -> "list[_Served]":
    """Those whose elements are not too old, with what is to be said of their age."""
    refused = (
        []
        if wanted.tle is not None
        else [each for each, _, _ in served if each.age_days(wanted.start) > rules.tle_refused_days]
    )
    told = [
        f"{each.name} was left out: its elements of {each.epoch:%Y-%m-%d} are more than {rules.tle_refused_days:g}"
        f" days from {wanted.start:%Y-%m-%d}. {REMEDY}"
        for each in refused
    ]
    fresh = [found for found in served if found[0] not in refused]
    if not fresh:
        raise BadInput(" ".join(told), kind="tle.stale", remedy="Or give a file with --tle.")
    warnings += [*told, *age_warnings([each for each, _, _ in fresh], wanted.start, rules.tle_stale_days)]
    return fresh


type _Served = tuple[Elements, MissionConfig | None, list[StationConfig]]


def _served(
    elements: Sequence[Elements],
    stations: Sequence[StationConfig],
    missions: Mapping[str, MissionConfig],
    wanted: Wanted,
) -> list[_Served]:
    """Which satellites are forecast, and over which stations."""
    by_norad = {mission.norad_id: mission for mission in missions.values() if mission.norad_id}
    found: list[_Served] = []
    for each in elements:
        mission = by_norad.get(each.norad_id)
        if wanted.satellite is not None:
            names = {each.name.casefold(), str(each.norad_id), mission.id if mission else ""}
            if wanted.satellite.casefold() in names:
                found.append((each, mission, list(stations)))
            continue
        receiving = [station for station in stations if mission is not None and mission.id in station.missions]
        if wanted.station is not None and not stations[0].missions:
            receiving = list(stations)
        if receiving:
            found.append((each, mission, receiving))
    if not found:
        known = ", ".join(f"{each.name} ({each.norad_id})" for each in elements[:20])
        whom = f"'{wanted.satellite}'" if wanted.satellite else "any satellite that the stations receive"
        raise BadInput(f"there are no elements of {whom}", kind="passes.no_satellite", remedy=f"There are: {known}.")
    return found


def _passes(
    orbit: Orbit, mission: MissionConfig | None, stations: Sequence[StationConfig], days: float
) -> list[StationPass]:
    """Passes of one satellite over all stations, with the time in which it imaged what each brings down."""
    earlier = Orbit(elements=orbit.elements, origin=orbit.origin - KEPT_ON_BOARD)
    ahead = days + KEPT_ON_BOARD.total_seconds() / 86400.0
    all_passes = sorted(
        ((each, station) for station in stations for each in find_passes(earlier, station, ahead)),
        key=lambda found: (found[0].los, found[1].id),
    )
    windows = windows_before([each for each, _ in all_passes], KEPT_ON_BOARD)
    return [
        StationPass(
            satellite=orbit.elements.name,
            mission=mission.id if mission else None,
            norad_id=orbit.elements.norad_id,
            station=station.id,
            what=each,
            imaged_from=since,
        )
        for (each, station), (since, _) in zip(all_passes, windows, strict=True)
        if each.los > orbit.origin
    ]


def _brought_down(
    chance: Opportunity, elements: Elements, mission: MissionConfig, passes: Sequence[StationPass]
) -> TargetPass:
    later = [each for each in passes if each.what.los > chance.time]
    down = min(later, key=lambda each: each.what.los).key if later else None
    return TargetPass(satellite=elements.name, mission=mission.id, what=chance, downlink=down)


def forecast_document(found: Forecast) -> dict[str, Any]:
    """The forecast as JSON: times in UTC with milliseconds, angles in degrees."""
    return {
        "start": _utc(found.start),
        "end": _utc(found.end),
        "refraction": "none",
        "stations": [
            {
                "id": station.id,
                "lon": station.lon,
                "lat": station.lat,
                "height_m": station.height_m,
                "min_elevation_deg": station.min_elevation_deg,
            }
            for station in found.stations
        ],
        "satellites": [
            {
                "satellite": each.name,
                "norad_id": each.norad_id,
                "epoch": _utc(each.epoch),
                "age_days": round((found.start - each.epoch).total_seconds() / 86400.0, 2),
            }
            for each in found.elements
        ],
        "passes": [_pass_document(each, found) for each in found.passes],
        "targets": [
            {"satellite": each.satellite, "mission": each.mission, "downlink": each.downlink} | _plain(each.what)
            for each in found.targets
        ],
        "warnings": list(found.warnings),
    }


def _pass_document(each: StationPass, found: Forecast) -> dict[str, Any]:
    facts = _plain(each.what)
    return {
        "key": each.key,
        "satellite": each.satellite,
        "mission": each.mission,
        "norad_id": each.norad_id,
        "station": each.station,
        **facts,
        "nadir": {"lon": each.what.nadir[0], "lat": each.what.nadir[1]},
        "duration_s": round(each.what.duration_s, 3),
        "light": light(each.what.nadir_sun_elevation_deg),
        "under_way_at_start": each.what.aos < found.start,
        "under_way_at_end": each.what.los > found.end,
        "imaged_from": _utc(each.imaged_from),
        "targets": [target.what.target for target in found.targets if target.downlink == each.key],
    }


def _plain(value: Pass | Opportunity) -> dict[str, Any]:
    return {name: _utc(held) if isinstance(held, datetime) else held for name, held in asdict(value).items()}


def _utc(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

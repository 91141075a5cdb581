"""Targets: places an operator wants imaged, from ``HOME/configs/targets/*.geojson``, and when a satellite can.

A target is abeam when it lies in the plane across the satellite's ground track; the satellite then turns about that
track (roll) by as much as the target needs. Swath and roll limit are facts of the mission.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry import shape

from configs.schema import MissionConfig
from pipelines.passes_find import sun_elevation
from pipelines.passes_orbit import STEP_S, Array, Orbit, earth_fixed, geographic, local_axes
from processing.model.errors import BadInput

_MAX_BYTES = 20_000_000
_MAX_VERTICES = 2_000
_SIGHT_M = 3.0e6
"""Farther than the horizon of any low orbit."""
_REMEDY = "Targets are GeoJSON features (points or areas, lon/lat in degrees) with a 'name' in their properties."


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A place to be imaged."""

    name: str
    vertices: tuple[tuple[float, float], ...]
    """Its outline, or itself where it is a point: longitude, latitude."""
    missions: tuple[str, ...] = ()
    """Which may image it; none named: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opportunity:
    """A moment at which a satellite can image a target."""

    target: str
    orbit: int
    time: datetime
    """When its middle is abeam."""
    begin: datetime
    end: datetime
    """When its first and its last part are abeam."""
    roll_deg: float
    """To turn by: its middle in the middle of the swath, or as near as the limit lets it. Positive to the right."""
    least_roll_deg: float
    """Size of the least turn that has any of it in the swath."""
    covered_percent: float
    """How much of its width across the track one strip then covers."""
    view_zenith_deg: float
    """Of the line of sight at its middle."""
    sun_elevation_deg: float
    """At its middle."""
    lon: float
    lat: float
    """Its middle."""


def read_targets(folder: Path) -> tuple[Target, ...]:
    """All targets of an operator.

    Raises
    ------
    BadInput
        ``targets.*`` if a file is not what it should be.
    """
    return tuple(
        target for path in sorted([*folder.glob("*.geojson"), *folder.glob("*.json")]) for target in _targets_of(path)
    )


def _targets_of(path: Path) -> list[Target]:
    def refuse(why: str) -> BadInput:
        return BadInput(why, kind="targets.unreadable", where=str(path), remedy=_REMEDY)

    if path.stat().st_size > _MAX_BYTES:
        raise refuse("the file is too long")
    try:
        document = json.loads(path.read_bytes())
        features = document["features"] if document["type"] == "FeatureCollection" else [document]
        return [_target(feature, f"{path.stem} {number}", refuse) for number, feature in enumerate(features, start=1)]
    except (ValueError, KeyError, TypeError, AttributeError, shapely.errors.ShapelyError) as error:
        raise refuse(f"this is no GeoJSON of targets: {type(error).__name__}: {error}") from error


def _target(feature: Mapping[str, Any], fallback: str, refuse: Any) -> Target:
    facts = feature.get("properties") or {}
    vertices = shapely.get_coordinates(shape(feature["geometry"]))[:, :2]
    if not len(vertices) or not np.isfinite(vertices).all():
        raise refuse(f"{facts.get('name', fallback)} has no place")
    if len(vertices) > _MAX_VERTICES:
        raise refuse(f"{facts.get('name', fallback)} has more than {_MAX_VERTICES} vertices")
    if (np.abs(vertices[:, 0]) > 360).any() or (np.abs(vertices[:, 1]) > 90).any():
        raise refuse(f"{facts.get('name', fallback)} is not in degrees of longitude and latitude")
    missions = facts.get("missions") or ()
    return Target(
        name=str(facts.get("name") or feature.get("id") or fallback),
        vertices=tuple((float(lon), float(lat)) for lon, lat in vertices),
        missions=(missions,) if isinstance(missions, str) else tuple(str(mission) for mission in missions),
    )


def opportunities(orbit: Orbit, mission: MissionConfig, target: Target, days: float) -> tuple[Opportunity, ...]:
    """When a mission's satellite can image a target in the days from the orbit's origin on; empty if it may not.

    The middle of an area is taken in space, not on the map: one across the antimeridian is an area like any other.
    """
    if mission.swath_km is None or (target.missions and mission.id not in target.missions):
        return ()
    corners = _places(target)
    lon, lat, _ = geographic(corners.mean(axis=0, keepdims=True))
    middle = earth_fixed(lon, lat, 0.0)[0]
    seconds = np.arange(0.0, days * 86400.0 + STEP_S, STEP_S)
    position, velocity = orbit.at(seconds)
    ahead = np.einsum("ij,ij->i", middle - position, velocity)
    near = np.linalg.norm(middle - position, axis=1) < _SIGHT_M
    found = []
    for index in np.flatnonzero(near[:-1] & (ahead[:-1] > 0.0) & (ahead[1:] <= 0.0)):
        times = np.array([_abeam(orbit, place, seconds[index]) for place in (middle, *corners)])
        rolls = _rolls(orbit, times, np.vstack([middle, corners]))
        each = _described(orbit, mission, target, times, rolls)
        if each is not None:
            found.append(each)
    return tuple(found)


def _places(target: Target) -> Array:
    vertices = np.array(target.vertices)
    return earth_fixed(vertices[:, 0], vertices[:, 1], 0.0)


def _abeam(orbit: Orbit, place: Array, near: float) -> float:
    """Moment at which a place is abeam: Newton's steps, for the way there is all but straight."""
    moment = near
    for _ in range(6):
        position, velocity = orbit.at(moment)
        step = float((place - position[0]) @ velocity[0] / (velocity[0] @ velocity[0]))
        moment += step
        if abs(step) < 1e-4:
            break
    return moment


def _rolls(orbit: Orbit, times: Array, places: Array) -> Array:
    """Angle at the satellite between straight down and each place at its moment; positive to the right of the way."""
    position, velocity = orbit.at(times)
    lon, lat, _ = geographic(position)
    rolls = np.empty(len(times))
    for number in range(len(times)):
        down = -local_axes(float(lon[number]), float(lat[number]))[2]
        right = np.cross(down, velocity[number])
        right /= np.linalg.norm(right)
        line = places[number] - position[number]
        rolls[number] = np.rad2deg(np.arctan2(line @ right, line @ down))
    return rolls


def _described(orbit: Orbit, mission: MissionConfig, target: Target, times: Array, rolls: Array) -> Opportunity | None:
    """The opportunity, or None if the satellite cannot turn that far."""
    assert mission.swath_km is not None
    position = orbit.at(times[:1])[0]
    height = float(geographic(position)[2][0])
    half = float(np.rad2deg(np.arctan2(mission.swath_km * 500.0, height)))
    limit = mission.roll_limit_deg or 0.0
    low, high = float(rolls.min()), float(rolls.max())
    roll = float(np.clip((low + high) / 2, -limit, limit))
    seen = min(high, roll + half) - max(low, roll - half)
    if seen < 0.0:
        return None
    lon, lat, _ = geographic(_places(target).mean(axis=0, keepdims=True))
    when = orbit.time(times[0])
    middle, up = earth_fixed(lon, lat, 0.0)[0], local_axes(float(lon[0]), float(lat[0]))[2]
    line = position[0] - middle
    return Opportunity(
        target=target.name,
        orbit=int(orbit.revolution(times[:1])[0]),
        time=when,
        begin=orbit.time(times.min()),
        end=orbit.time(times.max()),
        roll_deg=round(roll, 2),
        least_roll_deg=round(max(0.0, low - half, -high - half), 2),
        covered_percent=round(100.0 if high - low < 1e-9 else min(100.0, 100.0 * seen / (high - low)), 1),
        view_zenith_deg=round(float(np.rad2deg(np.arccos(line @ up / np.linalg.norm(line)))), 2),
        sun_elevation_deg=round(sun_elevation(when, float(lon[0]), float(lat[0])), 2),
        lon=round(float(lon[0]), 5),
        lat=round(float(lat[0]), 5),
    )

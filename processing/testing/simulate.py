"""Simulated deliveries with known truth: the public face of the simulator."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

from processing.model.errors import BadInput
from processing.testing import dimap1, dimap2
from processing.testing.acquisition import TARGET, Acquisition, plan_acquisition
from processing.testing.exposure import Exposure, fit_camera, locate
from processing.testing.image_masks import mask_polygons
from processing.testing.instruments import INSTRUMENTS, DetectorLine, Instrument
from processing.testing.lighting import Layers, grow_cover
from processing.testing.map_truth import map_truth
from processing.testing.materials import Cover
from processing.testing.orbit import passes_over
from processing.testing.relief import Posts, raise_posts, write_tiles
from processing.testing.render import render
from processing.testing.surface import seen_on_surface
from processing.testing.truth import (
    CLEAR_LAND,
    describe_acquisition,
    describe_group,
    exact_pairs,
    write_map_truth,
    write_pairs,
)
from processing.testing.world import make_world

Progress = Callable[[int, int, str], None]

_DEM_MARGIN_DEG = 0.06
"""Relief beyond the imaged ground: what casts shadows on it, and what a resampler reaches for."""
_LOWEST_SUN_DEG = 15.0
_OFF_NADIR_DEG = (6.0, 15.5)
_STEPS = 100
"""Of progress, per detector array."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationReport:
    """What was written."""

    packages: tuple[Path, ...]
    """Delivery folders."""
    truths: tuple[Path, ...]
    """Folder with the truth of each package, in the same order."""
    dem: Path
    """Folder of the DEM tiles (EPSG:4326+5773)."""
    accuracy: tuple[dict[str, Any], ...]
    """Per package and detector group: ``rpc_fit_px``, ``bias_px``, ``jitter_px``, as in ``truth.json``."""
    seconds: float


class _Meter:
    """Counts steps over all acquisitions and arrays."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._before = progress, total, 0

    def tell(self, share: float, text: str) -> None:
        """Say how far the present array has come, 0-1."""
        if self._progress is not None:
            self._progress(self._before + int(share * _STEPS), self._total, text)

    def finish(self) -> None:
        """The present array is done."""
        self._before += _STEPS


def simulate(
    out: Path,
    *,
    sensor: str = "kazeosat-1-naomi",
    size: int = 1000,
    scenes: int = 1,
    seed: int = 1,
    pan: bool = True,
    progress: Progress | None = None,
) -> SimulationReport:
    """Write delivery packages, the DEM beneath them, and the truth about them.

    The same arguments give the same bytes. Every scene is another pass over the same ground, with its own sun, look
    and clouds. ``out/<package>/`` is the delivery, ``out/dem/`` the elevation tiles, ``out/truth/<package>/`` the
    truth (see :mod:`processing.testing.truth`); a package that is there already is replaced.

    Parameters
    ----------
    out
        Folder to write to; made where absent.
    sensor
        Id of the sensor: ``kazeosat-1-naomi`` (DIMAP v2) or ``kazeosat-2-keis`` (DIMAP v1).
    size
        Lines and samples of the multispectral image, 64 to 20,000; the panchromatic one has four times as many.
    scenes
        How many acquisitions.
    seed
        Decides the landscape, the passes, the weather, the pointing errors and the noise.
    pan
        Whether to deliver the panchromatic image where the instrument has one.
    progress
        Called with steps done, steps in all, and what is being done.

    Raises
    ------
    BadInput
        ``sensor.unknown``, ``simulation.size`` or ``simulation.scenes``.
    """
    started = monotonic()
    instrument = _checked(sensor, size, scenes)
    arrays = tuple(array for array in instrument.arrays if pan or array.group != "pan")
    meter = _Meter(progress, _STEPS * scenes * len(arrays))
    meter.tell(0.0, "planning the passes")
    acquisitions = _plan(instrument, size, scenes, seed)
    meter.tell(0.01, "raising the land")
    posts = raise_posts(_bounds(acquisitions), seed)
    cover = grow_cover(posts, seed)
    write_tiles(posts, out / "dem")
    written = [
        _simulate_scene(out, instrument, arrays, acquisition, posts, cover, seed, meter) for acquisition in acquisitions
    ]
    return SimulationReport(
        packages=tuple(package for package, _, _ in written),
        truths=tuple(truth for _, truth, _ in written),
        dem=out / "dem",
        accuracy=tuple(figures for _, _, figures in written),
        seconds=monotonic() - started,
    )


def _checked(sensor: str, size: int, scenes: int) -> Instrument:
    instrument = INSTRUMENTS.get(sensor)
    if instrument is None:
        raise BadInput(
            f"the sensor '{sensor}' cannot be simulated",
            kind="sensor.unknown",
            remedy=f"Sensors that can: {', '.join(sorted(INSTRUMENTS))}.",
        )
    if not 64 <= size <= 20000:
        raise BadInput(f"a size of {size} pixels is not between 64 and 20000", kind="simulation.size")
    if not 1 <= scenes <= 20:
        raise BadInput(f"{scenes} scenes are not between 1 and 20", kind="simulation.scenes")
    return instrument


def _plan(instrument: Instrument, size: int, scenes: int, seed: int) -> tuple[Acquisition, ...]:
    passes = passes_over(
        instrument.tle,
        TARGET,
        ascending=instrument.ascending,
        off_nadir_deg=_OFF_NADIR_DEG,
        min_sun_elevation_deg=_LOWEST_SUN_DEG,
    )
    first = int(np.random.default_rng([seed, 7000]).integers(0, 4))
    return tuple(
        plan_acquisition(instrument, event, size=size, number=number, seed=seed)
        for number, event in enumerate(islice(passes, first, first + scenes))
    )


def _bounds(acquisitions: tuple[Acquisition, ...]) -> tuple[float, float, float, float]:
    """West, south, east, north of the relief that all acquisitions need, degrees."""
    places = []
    for acquisition in acquisitions:
        for camera in acquisition.nominal.values():
            line, sample, height = np.meshgrid(
                np.array([0, 0.5, 1]) * camera.shape[0], np.array([0, 0.5, 1]) * camera.shape[1], [300.0, 4700.0]
            )
            places.append(np.array(camera.image_to_ground(line, sample, height)).reshape(2, -1))
    lon, lat = np.concatenate(places, axis=1)
    margin = _DEM_MARGIN_DEG
    return (
        float(lon.min()) - margin,
        float(lat.min()) - margin,
        float(lon.max()) + margin,
        float(lat.max()) + margin,
    )


def _simulate_scene(
    out: Path,
    instrument: Instrument,
    arrays: tuple[DetectorLine, ...],
    acquisition: Acquisition,
    posts: Posts,
    cover: Layers,
    seed: int,
    meter: _Meter,
) -> tuple[Path, Path, dict[str, Any]]:
    """Image one acquisition; write package and truth aside and move them into place when whole."""
    writer = dimap2 if instrument.package == "dimap-v2" else dimap1
    staging = out / ".simulating"
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "truth").mkdir(parents=True)
    exposures, groups, pairs = [], {}, []
    for array in arrays:
        exposure, facts, found = _expose(staging / "truth", array, instrument, acquisition, posts, cover, seed, meter)
        exposures.append(exposure)
        groups[array.group] = facts
        pairs += found
        meter.finish()
    name = writer.package_name(tuple(exposures))
    writer.write_package(staging / name, tuple(exposures), lambda text: meter.tell(0.0, text))
    write_pairs(staging / "truth" / "pairs.csv", pairs)
    record = {
        "sensor": instrument.sensor,
        "mission": instrument.mission,
        "package": name,
        "tle": [instrument.tle.line1, instrument.tle.line2],
        "acquisition": describe_acquisition(acquisition, seed),
        "groups": groups,
        "classes": {kind.name.lower(): int(kind) for kind in Cover},
        "clear_land": [int(kind) for kind in CLEAR_LAND],
    }
    text = json.dumps(record, indent=1, sort_keys=True)
    (staging / "truth" / "truth.json").write_text(text + "\n", encoding="utf-8")
    package, truth = _placed(staging / name, out / name), _placed(staging / "truth", out / "truth" / name)
    staging.rmdir()
    kept = ("rpc_fit_px", "bias_px", "jitter_px")
    return package, truth, {group: {key: facts[key] for key in kept} for group, facts in groups.items()}


def _placed(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(target)
    return source.rename(target)


def _expose(
    truth_folder: Path,
    array: DetectorLine,
    instrument: Instrument,
    acquisition: Acquisition,
    posts: Posts,
    cover: Layers,
    seed: int,
    meter: _Meter,
) -> tuple[Exposure, dict[str, Any], list[dict[str, Any]]]:
    """One detector array: image, model, and truth (written at once, for its rasters are large)."""
    group = array.group
    nominal, true = acquisition.nominal[group], acquisition.true(group)
    world = make_world(posts, cover, acquisition, array.bands, seed=seed)
    irradiance: npt.NDArray[np.float64] = np.array([band.esun for band in array.bands])
    noise_seed = int(np.random.default_rng([seed, acquisition.number, array.scale, 7003]).integers(1, 2**31))
    counts = render(
        world,
        posts,
        true.state,
        array,
        shape=nominal.shape,
        radiance_per_light=irradiance / (np.pi * acquisition.sun_distance_au**2),
        saturated=instrument.saturated,
        seed=noise_seed,
        progress=lambda done, total: meter.tell(0.6 * done / total, f"imaging {group}"),
    )
    meter.tell(0.6, f"mapping the truth of {group}")
    cameras = (true, acquisition.biased(group), nominal)
    mapped = map_truth(world, posts, cameras, resolution_m=array.resolution_m, points=array.truth_points)
    exposure = _described(array, instrument, acquisition, posts, counts, mask_polygons(world, posts, true))
    meter.tell(0.9, f"writing the truth of {group}")
    files = write_map_truth(truth_folder, group, mapped)
    pairs = exact_pairs(acquisition, group, posts)
    return exposure, describe_group(exposure, mapped, files, pairs), pairs


def _described(
    array: DetectorLine,
    instrument: Instrument,
    acquisition: Acquisition,
    posts: Posts,
    counts: npt.NDArray[np.uint16],
    masks: Any,
) -> Exposure:
    camera = acquisition.nominal[array.group]
    lines, samples = camera.shape
    rpc, fit = fit_camera(camera, posts)
    places = ([0.5, 0.5, lines - 0.5, lines - 0.5, lines / 2], [0.5, samples - 0.5, samples - 0.5, 0.5, samples / 2])
    lon, lat, _ = seen_on_surface(camera, posts, *places)
    ring = tuple((float(a), float(b)) for a, b in zip(lon, lat, strict=True))
    named = (("Top Center", 0.5), ("Center", lines / 2), ("Bottom Center", lines - 0.5))
    return Exposure(
        instrument=instrument,
        array=array,
        acquisition=acquisition,
        camera=camera,
        rpc=rpc,
        rpc_fit=fit,
        counts=counts,
        corners=ring[:4],
        centre=ring[4],
        located=tuple(locate(name, camera, acquisition, posts, line) for name, line in named),
        clouds=masks.clouds,
        snow=masks.snow,
        cloud_percent=masks.cloud_percent,
    )

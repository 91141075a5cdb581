"""A delivery in plain JSON: what ``qyran info`` prints."""

from dataclasses import asdict
from typing import Any

from processing.geometry.compare import compare_models
from processing.geometry.pushbroom import Pushbroom
from processing.geometry.rpc import Rpc
from processing.model.scene import Band, Delivery, Scene
from processing.readers.protocol import UNKNOWN_TIME


def describe(delivery: Delivery) -> dict[str, Any]:
    """All that is known of a delivery without decoding a pixel, as JSON values."""
    return {
        "package": str(delivery.package),
        "format": delivery.format,
        "delivery_id": delivery.delivery_id,
        "scenes": [_scene(scene) for scene in delivery.scenes],
    }


def _scene(scene: Scene) -> dict[str, Any]:
    return {
        "scene_id": scene.scene_id,
        "mission": scene.mission,
        "sensor": scene.sensor,
        "group": scene.group,
        "level": scene.level.value,
        "acquired": None if scene.acquired == UNKNOWN_TIME else scene.acquired.isoformat().replace("+00:00", "Z"),
        "bands": _bands(scene),
        "shape": list(scene.shape),
        "angles": {name: value for name, value in asdict(scene.angles).items() if value is not None},
        "footprint": [list(vertex) for vertex in scene.footprint],
        "model": _model(scene),
        "rigorous": _rigorous(scene),
        "map_grid": None
        if scene.map_grid is None
        else {"crs": scene.map_grid.crs, "transform": list(scene.map_grid.transform)[:6]},
        "nodata": scene.nodata,
        "saturated": scene.saturated,
        "profile": scene.profile,
        "facts": dict(scene.platform_facts),
        "has_pixels": scene.no_pixels is None,
        "no_pixels": scene.no_pixels,
        "warnings": list(scene.warnings),
    }


def _bands(scene: Scene) -> list[dict[str, Any]]:
    """Bands in the order the delivery's own document lists them; ``index`` is their place in the pixels, from 1."""
    listed = str(scene.platform_facts.get("bands_listed", "")).split()
    bands = [_band(band, index) for index, band in enumerate(scene.bands, start=1)]
    return sorted(bands, key=lambda band: listed.index(band["label"]) if band["label"] in listed else len(listed))


def _band(band: Band, index: int) -> dict[str, Any]:
    found = band.calibration
    return {
        "name": band.name,
        "index": index,
        "label": band.label,
        "common_name": band.common_name,
        "centre_nm": band.centre_nm,
        "fwhm_nm": band.fwhm_nm,
        "gain": found.gain if found else None,
        "bias": found.bias if found else None,
        "rule": found.rule.value if found else None,
        "esun": found.esun if found else None,
        "esun_source": found.esun_source if found else None,
        "calibrated_on": found.calibrated_on if found else None,
    }


def _model(scene: Scene) -> dict[str, Any] | None:
    if scene.model is None:
        return None
    if not isinstance(scene.model, Rpc):
        return {"kind": type(scene.model).__name__.lower()}
    rpc = scene.model
    return {
        "kind": "rpc",
        "centre": [rpc.lon_off, rpc.lat_off],
        "heights_m": [rpc.height_off - rpc.height_scale, rpc.height_off + rpc.height_scale],
        "err_bias_m": rpc.err_bias,
        "err_rand_m": rpc.err_rand,
    }


def _rigorous(scene: Scene) -> dict[str, Any] | None:
    """The rigorous camera, and how far the RPC is from it: where each sees the ground of the other, px."""
    camera = scene.rigorous
    if not isinstance(camera, Pushbroom):
        return None
    facts: dict[str, Any] = {
        "kind": "pushbroom",
        "attitude": type(camera.attitude).__name__.removesuffix("Attitude").lower(),
        "orbit_points": len(camera.ephemeris.seconds),
        "line_period_s": camera.line_period_s,
        "first_line": camera.time_at(0.5).isoformat().replace("+00:00", "Z"),
    }
    if isinstance(rpc := scene.model, Rpc):
        heights = rpc.height_off - rpc.height_scale, rpc.height_off + rpc.height_scale
        apart = compare_models(rpc, camera, scene.shape, heights)
        facts["rpc_difference_px"] = None if apart is None else asdict(apart)
    return facts

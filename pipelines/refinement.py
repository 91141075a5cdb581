"""How a scene's model is corrected: by control points, or against reference images; and what is told of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from configs.settings import Home
from processing.geometry.extent import Bounds, ground_bounds, ground_sampling_m, terrain_range
from processing.geometry.refine import GroundControlPoint, Refined, RefinementReport, refine_from_gcps
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.model.lineage import InputRecord
from processing.model.product import Attachment
from processing.model.scene import Scene
from processing.model.sensor_model import SensorModel
from processing.readers.reference import SUFFIXES, ReferenceRaster, open_reference, open_references, overlapping

_MATCHED_BANDS = ("pan", "red", "green")
"""Bands of an archived product that serve as a reference, the first there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refinement:
    """A corrected model, and how it came about."""

    model: Refined
    report: RefinementReport
    sources: tuple[InputRecord, ...]
    """Reference images that were matched against."""
    pixel_m: float
    """Ground size of the image's pixel, m."""

    def figures(self) -> dict[str, Any]:
        """CONTRACT's ``refinement``."""
        return {
            "model": self.report.kind,
            "tie_points": self.report.points,
            "shift_px": [_figure(value) for value in self.report.shift_px],
            "rmse_px": _figure(self.report.rmse_px),
            "ce90_m": None if self.report.ce90_m is None else _figure(self.report.ce90_m),
        }

    def accuracy(self) -> dict[str, float]:
        """What an item says of it, m: leave-one-out, east is x, north is y."""
        ground = self.report.ground
        if ground is None:
            return {}
        figures = {
            "rmse_m": ground.rmse,
            "ce90_m": ground.ce90,
            "ce95_m": ground.ce95,
            "percentile90_m": ground.percentile90,
            "bias_x_m": ground.bias[0],
            "bias_y_m": ground.bias[1],
            "stddev_x_m": ground.stddev[0],
            "stddev_y_m": ground.stddev[1],
        }
        return {name: round(value, 4) for name, value in figures.items()} | {"tie_points": float(self.report.points)}

    def quality(self) -> dict[str, Any]:
        """The whole report, as JSON values."""
        return {
            **self.figures(),
            "rejected": self.report.rejected,
            "ce90_px": None if self.report.ce90_px is None else _figure(self.report.ce90_px),
            "accuracy_m": self.accuracy(),
            "criteria": {kind: _figure(value) for kind, value in self.report.criteria.items()},
            "correction": {"line": list(self.model.line), "sample": list(self.model.sample)},
            "references": [source.name for source in self.sources],
            "points": [
                {
                    "name": residual.point.name,
                    "lon": residual.point.lon,
                    "lat": residual.point.lat,
                    "height": residual.point.height,
                    "line": residual.point.line,
                    "sample": residual.point.sample,
                    "residual_line": _figure(residual.line),
                    "residual_sample": _figure(residual.sample),
                    "used": residual.used,
                }
                for residual in self.report.residuals
            ],
        }

    def picture(self, scene: Scene) -> bytes:
        """Residual vectors, PNG."""
        from processing.registration.picture import residual_picture

        return residual_picture(self.report, scene.shape, name=scene.scene_id, pixel_m=self.pixel_m)


def refined_by_points(scene: Scene, points: Sequence[GroundControlPoint], terrain: Terrain) -> Refinement:
    """A scene's model corrected by measured points.

    Raises
    ------
    BadInput
        As :func:`processing.geometry.refine.refine_from_gcps`.
    """
    assert scene.model is not None
    model, report = refine_from_gcps(scene.model, points, shape=scene.shape)
    return Refinement(model=model, report=report, sources=(), pixel_m=_pixel_m(scene, terrain))


def refined_by_references(scene: Scene, references: Sequence[ReferenceRaster], terrain: Terrain) -> Refinement:
    """A scene's model corrected by matching it against reference images.

    Raises
    ------
    BadInput
        As :func:`processing.registration.match.match_scene`.
    """
    assert scene.model is not None
    near = overlapping(references, _seen(scene))
    if not near:
        raise BadInput(
            f"none of the {len(references)} reference images covers any of '{scene.scene_id}'",
            kind="reference.no_overlap",
            remedy="Give a reference of this area.",
        )
    # Imported where it is used: matching brings much with it that an image without a reference need not wait for.
    from processing.registration.match import match_scene

    points = [_recordable(point) for point in match_scene(scene, scene.model, terrain, near).points]
    model, report = refine_from_gcps(scene.model, points, shape=scene.shape)
    used = {point.name.rpartition(" ")[0] for point in points}
    return Refinement(
        model=model,
        report=report,
        sources=tuple(reference.record for reference in near if reference.name in used),
        pixel_m=_pixel_m(scene, terrain),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRefinements:
    """The corrections of all scenes of one acquisition, or why there are none."""

    by_group: dict[str, Refinement]
    warnings: tuple[str, ...] = ()

    def models(self) -> dict[str, SensorModel]:
        """Corrected models by group."""
        return {group: refinement.model for group, refinement in self.by_group.items()}

    def sources(self) -> tuple[InputRecord, ...]:
        """Reference images that had a part, for the lineage."""
        return tuple(dict.fromkeys(source for each in self.by_group.values() for source in each.sources))

    def parameters(self) -> dict[str, Any]:
        """What decides a pixel or a word of a report, for the lineage; nothing where there were no references.

        The tie points are recorded as they went into the fit: a product is made again without its references.
        """
        corrections = {
            group: {
                "model": each.report.kind,
                "line": list(each.model.line),
                "sample": list(each.model.sample),
                "tie_points": [list(_tie_point(residual.point)) for residual in each.report.residuals],
            }
            for group, each in self.by_group.items()
        }
        noted = {"not_refined": list(self.warnings)} if self.warnings else {}
        return ({"refinement": corrections} if corrections else {}) | noted

    def accuracy(self) -> dict[str, float]:
        """Of the group with the smallest pixels."""
        finest = min(self.by_group.values(), key=lambda each: each.pixel_m, default=None)
        return {} if finest is None else finest.accuracy()

    def quality(self) -> dict[str, Any]:
        """By group, without the points."""
        return {
            group: {name: value for name, value in each.quality().items() if name != "points"}
            for group, each in self.by_group.items()
        }

    def attachments(self, scenes: Sequence[Scene]) -> tuple[Attachment, ...]:
        """Tie points and residual vectors of each group, as files of the product."""
        files = []
        for scene in scenes:
            each = self.by_group.get(scene.group)
            if each is None:
                continue
            report = json.dumps(each.quality(), indent=1, allow_nan=False).encode() + b"\n"
            files += [
                Attachment(
                    name=f"residuals_{scene.group}.png",
                    content=each.picture(scene),
                    media_type="image/png",
                    roles=("metadata", "overview"),
                    title=f"Residual vectors of the tie points of {scene.group}",
                ),
                Attachment(
                    name=f"refinement_{scene.group}.json",
                    content=report,
                    media_type="application/json",
                    title=f"How the sensor model of {scene.group} was corrected",
                ),
            ]
        return tuple(files)


def _figure(value: float) -> float:
    """A figure of a report to a millionth: what linear algebra says beyond that is not the same on every processor."""
    return round(value, 6)


def _recordable(point: GroundControlPoint) -> GroundControlPoint:
    """A matched point to a millionth of a pixel and a hundredth of a millimetre, as it is recorded.

    The last digits of a correlation are not the same on every machine; the products of all should be.
    """
    return replace(
        point,
        lon=round(point.lon, 10),
        lat=round(point.lat, 10),
        height=round(point.height, 5),
        line=round(point.line, 6),
        sample=round(point.sample, 6),
    )


def _tie_point(point: GroundControlPoint) -> tuple[str, float, float, float, float, float]:
    return point.name, point.lon, point.lat, point.height, point.line, point.sample


NOT_REFINED = "not refined"
"""How a warning begins that a product goes without a correction which references promised."""


def refined_automatically(scenes: Sequence[Scene], folder: Path, terrain: Terrain) -> SceneRefinements:
    """Correct all scenes of an acquisition against whatever references of their ground lie in a folder.

    Either all scenes or none: with one corrected and another not, their bands would lie apart. Where it does not
    succeed, the product goes on as it is, and says so: a missing correction is no reason to hold a delivery.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    references, warnings = [], []
    for path in files:
        try:
            references.append(open_reference(path))
        except BadInput as error:
            warnings.append(f"{NOT_REFINED} against '{path.name}': {error.message}")
    placed = [scene for scene in scenes if scene.model is not None]
    near = [reference for scene in placed for reference in overlapping(references, _seen(scene))]
    if not near:
        return SceneRefinements(by_group={}, warnings=tuple(warnings))
    refinements = {}
    for scene in placed:
        try:
            refinements[scene.group] = refined_by_references(scene, references, terrain)
        except BadInput as error:
            note = f"{NOT_REFINED}: {scene.group}: {error.message} ({error.kind})"
            return SceneRefinements(by_group={}, warnings=(*warnings, note))
    return SceneRefinements(by_group=refinements, warnings=tuple(warnings))


def _seen(scene: Scene) -> Bounds:
    assert scene.model is not None
    return ground_bounds(scene.model, scene.shape)


def reference_rasters(names: Sequence[str], home: Home) -> tuple[ReferenceRaster, ...]:
    """References by what an operator calls them: a file, a folder, or ``COLLECTION/ID`` of an archived product.

    Raises
    ------
    BadInput
        ``reference.missing``, ``reference.not_on_map``.
    """
    return open_references([_reference_path(name, home) for name in names])


def _reference_path(name: str, home: Home) -> Path:
    path = Path(name).expanduser()
    collection, _, item = name.partition("/")
    if path.exists() or not item or "/" in item:
        return path
    # Imported where it is used: see above.
    from processing.archive.write import published

    product = published(home.path, collection, item)
    files = {} if product is None else {file.key: file.href for file in product.files}
    band = next((band for band in _MATCHED_BANDS if band in files), None)
    return path if band is None else home.path / files[band]


def _pixel_m(scene: Scene, terrain: Terrain) -> float:
    assert scene.model is not None
    return ground_sampling_m(scene.model, scene.shape, sum(terrain_range(scene.model, scene.shape, terrain)) / 2)

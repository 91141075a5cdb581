"""Corrections of a scene's models as a lineage records them: fitted again, without the references they came from."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipelines.refinement import SceneRefinements, refined_by_points
from processing.geometry.refine import GroundControlPoint
from processing.geometry.terrain import Terrain
from processing.model.lineage import Lineage
from processing.model.scene import Scene


def refined_as_recorded(lineage: Lineage, scenes: Sequence[Scene], terrain: Terrain) -> SceneRefinements:
    """The corrections that a lineage records, fitted again to the tie points it holds. No reference is needed.

    Raises
    ------
    BadInput
        As :func:`processing.geometry.refine.refine_from_gcps`, where today's fit refuses the points of then.
    """
    recorded: dict[str, Any] = lineage.parameters.get("refinement", {})
    sources = lineage.inputs_of("reference")
    found = {}
    for scene in scenes:
        if scene.group in recorded:
            points = [
                GroundControlPoint(name=name, lon=lon, lat=lat, height=height, line=line, sample=sample)
                for name, lon, lat, height, line, sample in recorded[scene.group]["tie_points"]
            ]
            matched = {point.name.rpartition(" ")[0] for point in points}
            each = refined_by_points(scene, points, terrain)
            found[scene.group] = replace(each, sources=tuple(source for source in sources if source.name in matched))
    return SceneRefinements(by_group=found, warnings=tuple(lineage.parameters.get("not_refined", ())))

"""Simulated deliveries, described for a person or a script."""

from pathlib import Path
from typing import Any

from pipelines.observe import Report
from processing.testing.simulate import simulate


def simulate_packages(
    target: Path, *, sensor: str, size: int, scenes: int, seed: int, report: Report | None
) -> dict[str, Any]:
    """Simulate deliveries under ``target``; say what was written, JSON-ready."""
    result = simulate(target, sensor=sensor, size=size, scenes=scenes, seed=seed, progress=report)
    return {
        "packages": [str(package) for package in result.packages],
        "dem": str(target.resolve() / "dem"),
        "truth": str(target.resolve() / "truth"),
    }

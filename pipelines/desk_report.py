"""What an operator decides by at the desk, and carrying out what was decided from the command line."""

import json
import math
from typing import Any

from configs.settings import Home
from pipelines.desk import find_held
from pipelines.desk_rules import cloud_percent, emptiest_band
from pipelines.observe import Report, registration_line, reporting_to
from pipelines.outcomes import PackageOutcome
from pipelines.prefect_env import flows_in_this_process, prepare_prefect, server_starting
from pipelines.requests import DecisionRequest
from processing.archive.held import HeldProduct
from processing.archive.layout import QUALITY_REPORT, THUMBNAIL, VISUAL


def desk_report(home: Home, reference: str) -> dict[str, Any]:
    """Why a product waits, its figures, residuals, and its files.

    Returns
    -------
    dict
        ``item, revision, acquired, since, findings``; ``figures`` in words; ``residuals`` by group, largest first:
        ``name, line, sample`` (px), ``used``; ``files`` by role: picture, masks, reports.

    Raises
    ------
    BadInput
        ``item.unknown`` if no such product waits.
    """
    held, record = find_held(home, reference)
    product = held.product
    worst = emptiest_band(product)
    figures = {
        "values in the footprint": f"{worst.valid_percent:.1f} % (band {worst.name})",
        "cloud": None if (cloud := cloud_percent(product)) is None else f"{cloud:.1f} %",
        "accuracy": ", ".join(f"{name} {value:.2f}" for name, value in sorted(product.accuracy.items())) or None,
        "bands": registration_line(product),
        "warnings": "; ".join(product.quality.get("warnings", ())) or None,
    }
    return {
        "item": record.item,
        "revision": record.revision,
        "acquired": product.acquired.isoformat(),
        "since": record.since.isoformat(),
        "findings": [finding.model_dump() for finding in record.findings],
        "figures": {name: text for name, text in figures.items() if text is not None},
        "residuals": _residuals(held),
        "files": _files(held),
    }


def _residuals(held: HeldProduct) -> dict[str, list[dict[str, Any]]]:
    """Of every report of a refinement that came with the product."""
    found = {}
    for path in sorted(held.files.glob("refinement_*.json")):
        points = json.loads(path.read_bytes()).get("points", ())
        rows = [
            {key: point[other] for key, other in _COLUMNS.items()}
            for point in points
            if point["residual_line"] is not None and point["residual_sample"] is not None
        ]
        found[path.stem] = sorted(rows, key=lambda row: -math.hypot(row["line"], row["sample"]))
    return found


_COLUMNS = {"name": "name", "line": "residual_line", "sample": "residual_sample", "used": "used"}


def _files(held: HeldProduct) -> dict[str, str]:
    """Pictures, masks and reports, where they lie while the product waits."""
    patterns = (THUMBNAIL, VISUAL, QUALITY_REPORT, "residuals_*.png", "refinement_*.json", "qa*.tif")
    return {path.stem: str(path) for pattern in patterns for path in sorted(held.files.glob(pattern))}


def decided(request: DecisionRequest, *, report: Report | None) -> PackageOutcome:
    """Run ``decide-held`` here and now.

    Raises
    ------
    BadInput
        ``item.unknown`` if no such product waits.
    """
    home = Home.resolve(request.home_path)
    find_held(home, request.item)  # before a server is started for it
    prepare_prefect(home.prefect)
    with server_starting():
        from pipelines.decide import decide_held
    with flows_in_this_process(), reporting_to(report):
        return PackageOutcome.model_validate(decide_held(request))

"""What ``qyran bench catalogue`` leaves behind: a table, a picture, every figure, and a section of a README."""

import json
import os
from pathlib import Path

from pipelines.bench.catalogue_plot import time_of_questions
from pipelines.bench.catalogue_results import CatalogueBench, describe
from pipelines.bench.report import renew_between

TABLE, PICTURE, FIGURES = "catalogue.md", "catalogue.svg", "catalogue.json"


def write_report(result: CatalogueBench, folder: Path) -> None:
    """Write ``catalogue.md``, ``catalogue.svg`` and ``catalogue.json`` (every question's time) into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLE).write_text(describe(result), encoding="utf-8")
    (folder / PICTURE).write_text(time_of_questions(result), encoding="utf-8")
    text = json.dumps(result.document(), ensure_ascii=False, allow_nan=False)
    (folder / FIGURES).write_text(text + "\n", encoding="utf-8")


def renew_section(result: CatalogueBench, readme: Path, report: Path | None) -> None:
    """Replace what stands between the markers of a Markdown file by the table, below the picture where it is kept.

    Raises
    ------
    BadInput
        ``bench.readme`` where the markers are missing.
    """
    shown = ""
    if report is not None:
        place = Path(os.path.relpath(report.resolve(), readme.resolve().parent)) / PICTURE
        shown = f"![Time of questions]({place.as_posix()})\n\n"
    renew_between(readme, "catalogue", f"\n{shown}{describe(result)}")

"""The flow ``keep-archive``: every day a share of the archive is hashed again, and what may go is cleared away.

First what interrupted runs left is finished or cleared away. Then catalogue, records and sizes are compared for the
whole archive, and the products that have waited longest are hashed: the default share covers more than a twelfth of
the archive a month. Where a second place is configured, what is lost or damaged can be fetched from it. Last the cubes:
those that are behind or damaged are made good from the products.
"""

import time
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import BaseModel, ConfigDict

from configs.keeping import load_keeping
from configs.settings import Home
from pipelines.clean import CleanReport, clean
from pipelines.cubes import build_cubes
from pipelines.observe import report_progress
from pipelines.requests import KeepRequest
from pipelines.tasks import RETRIES, Record
from pipelines.verify import verify
from pipelines.verify_repair import repair_findings
from pipelines.verify_report import VerifyReport
from processing.archive.scrub_ledger import Ledger, Month

ARTIFACT = "archive-kept"
_SHOWN = 50


class KeepReport(BaseModel):
    """What one run of ``keep-archive`` found and did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verify: VerifyReport
    clean: CleanReport
    months: tuple[dict[str, Any], ...]
    cubes: tuple[dict[str, Any], ...] = ()
    """Those that were behind or damaged, and what was made of them."""
    seconds: float


@flow(name="keep-archive", description=__doc__, persist_result=False)
def keep_archive(request: KeepRequest) -> State[Record]:
    """Keep the archive. Returns the JSON of a :class:`KeepReport`; fails where the archive is not in order."""
    started = time.monotonic()
    cleared = CleanReport.model_validate(clear_away(request))
    found = VerifyReport.model_validate(scrub(request))
    if request.repair and not found.ok:
        found = VerifyReport.model_validate(repair(request, found.model_dump(mode="json")))
    mended = bring_cubes_up(request)["cubes"]
    with Ledger(Home.resolve(request.home_path).scrub) as ledger:
        months = ledger.months()
    report = KeepReport(
        verify=found,
        clean=cleared,
        months=tuple(_month(month) for month in months),
        cubes=tuple(mended),
        seconds=round(time.monotonic() - started, 3),
    )
    create_markdown_artifact(key=ARTIFACT, markdown=kept_table(report), description="State of the archive")
    record = report.model_dump(mode="json")
    if found.ok:
        return Completed(message=_coverage_line(found), data=record)
    counted = ", ".join(f"{count} {kind}" for kind, count in found.counts.items())
    return Failed(message=f"the archive is not in order: {counted}", data=record)


@task(name="clear-away", task_run_name="clear away", persist_result=False, **RETRIES)
def clear_away(request: KeepRequest) -> Record:
    """Finish or clear away interrupted work, and let go what was asked for. Returns a :class:`CleanReport`."""
    home = Home.resolve(request.home_path)
    return clean(
        home, act=True, only=frozenset(kind.value for kind in request.clean), report=report_progress
    ).model_dump(mode="json")


@task(name="scrub", task_run_name="scrub", persist_result=False, **RETRIES)
def scrub(request: KeepRequest) -> Record:
    """Compare the whole archive, and hash the share whose turn it is. Returns a :class:`VerifyReport`."""
    home = Home.resolve(request.home_path)
    share = load_keeping(home.configs).share_of_archive if request.share is None else request.share
    return verify(home, share=share, report=report_progress).model_dump(mode="json")


@task(name="repair", task_run_name="repair", persist_result=False, **RETRIES)
def repair(request: KeepRequest, found: Record) -> Record:
    """Put right what can be. Returns the :class:`VerifyReport` after it."""
    home = Home.resolve(request.home_path)
    return repair_findings(home, VerifyReport.model_validate(found), act=True).model_dump(mode="json")


@task(name="cubes", task_run_name="cubes", persist_result=False, **RETRIES)
def bring_cubes_up(request: KeepRequest) -> Record:
    """Make good the cubes that do not hold what they should. Returns ``cubes``, a report of each that was touched."""
    touched = [
        report.model_dump(mode="json")
        for report in build_cubes(Home.resolve(request.home_path), only_behind=True, progress=report_progress)
        if report.status != "whole"
    ]
    return {"cubes": touched}


def kept_table(report: KeepReport) -> str:
    """Markdown: what was covered, month by month, what is wrong, what went."""
    found, share = report.verify, report.verify.coverage
    lines = [
        f"## Archive: {'in order' if found.ok else 'not in order'}",
        "| | |",
        "|---|---:|",
        f"| products (all revisions) | {found.checked} |",
        f"| bytes | {share['total_bytes'] / 1e9:.3g} GB |",
        f"| hashed in this run | {found.hashed} ({found.hashed_bytes / 1e9:.3g} GB) |",
        f"| **hashed again in the last 30 days** | **{share['percent_30_days']:g} %** |",
        f"| **hashed again in the last 12 months** | **{share['percent_12_months']:g} %** |",
        f"| never hashed again yet | {share['never_hashed']} |",
        *(f"| {kind} | {count} |" for kind, count in found.counts.items()),
        f"| interrupted work finished or cleared away | {len(report.clean.recovered)} |",
        f"| cubes made good | {len(report.cubes)} |",
        f"| freed | {report.clean.freed_bytes / 1e6:.3g} MB |",
        "",
        "| month | revisions hashed | GB | found damaged |",
        "|---|---:|---:|---:|",
        *(f"| {m['month']} | {m['units']} | {m['bytes'] / 1e9:.3g} | {m['unsound']} |" for m in report.months),
    ]
    if found.findings:
        lines += ["", "| object | what | remedy |", "|---|---|---|"]
        lines += [
            f"| `{f.object}` | {f.kind}: {_cell(f.detail)} | {_cell(f.remedy)} |" for f in found.findings[:_SHOWN]
        ]
        lines += [f"| ... and {len(found.findings) - _SHOWN} more | | |"] * (len(found.findings) > _SHOWN)
    if found.repairs:
        lines += ["", "| object | repair | |", "|---|---|---|"]
        lines += [f"| `{r['object']}` | {r['outcome']} | {_cell(r['detail'])} |" for r in found.repairs[:_SHOWN]]
    notes = [*found.notes, *report.clean.notes, *report.clean.recovered]
    return "\n".join(lines + ([""] + [f"- {_cell(note)}" for note in notes] if notes else []))


def _coverage_line(found: VerifyReport) -> str:
    share = found.coverage
    return (
        f"in order; hashed again in 30 days {share['percent_30_days']:g} %, in a year {share['percent_12_months']:g} %"
    )


def _month(month: Month) -> dict[str, Any]:
    return {"month": month.month, "units": month.units, "bytes": month.bytes, "unsound": month.unsound}


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")

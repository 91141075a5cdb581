"""A benchmark in words: table.md, the picture, the README's section, and the terminal."""

import json
import os
import re
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from pipelines.bench.plot import Dot, speed_and_error
from pipelines.bench.results import QYRAN, Measured, OrthoBench, Setting
from processing.model.errors import BadInput

TABLE, PICTURE, FIGURES = "table.md", "ortho.svg", "ortho.json"
BOUND_PX = 0.02
"""What Qyran's mapping stays within."""
_LEAST_ERROR_PX = 1e-4
"""Errors are drawn no smaller than this: float32 columns and rows hold no more."""
_HEADINGS = (
    "tool",
    "MPixB/s, median [min-max]",
    "wall s",
    "CPU s",
    "MPixB per CPU s",
    "peak RSS, GB",
    "Qyran is times as fast, median [min-max]",
    "max error px",
    "RMSE px",
    "counts within 1 of GDAL's",
)


def write_report(result: OrthoBench, folder: Path) -> None:
    """Write ``table.md``, ``ortho.svg`` and ``ortho.json`` (every run) into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLE).write_text(describe(result), encoding="utf-8")
    (folder / PICTURE).write_text(picture(result), encoding="utf-8")
    text = json.dumps(result.document(), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / FIGURES).write_text(text + "\n", encoding="utf-8")


def renew_section(result: OrthoBench, readme: Path, report: Path | None) -> None:
    """Replace what stands between the markers of a Markdown file by the table and a link to the picture.

    Raises
    ------
    BadInput
        ``bench.report`` without a folder that keeps the picture; ``bench.readme`` where the markers are missing.
    """
    if report is None:
        raise BadInput(
            "the section shows a picture, which needs a place", kind="bench.report", remedy="Give --report DIR too."
        )
    place = Path(os.path.relpath(report.resolve(), readme.resolve().parent)) / PICTURE
    section = f"\n![Speed against error]({place.as_posix()})\n\n{describe(result)}"
    renew_between(readme, "ortho", section)


def markers(bench: str) -> tuple[str, str]:
    """What stands before a benchmark's section in a Markdown file, and behind it."""
    return f"<!-- qyran bench {bench} -->", f"<!-- /qyran bench {bench} -->"


def renew_between(readme: Path, bench: str, section: str) -> None:
    """Replace what stands between the markers of a benchmark in a Markdown file.

    Raises
    ------
    BadInput
        ``bench.readme`` where the markers are missing.
    """
    begin, end = markers(bench)
    parts = re.split(f"({re.escape(begin)}|{re.escape(end)})", readme.read_text(encoding="utf-8"))
    if [parts[1::2]] != [[begin, end]]:
        raise BadInput(
            f"'{readme.name}' has no section for the figures",
            kind="bench.readme",
            remedy=f"Put the lines {begin} and {end} where it shall stand.",
        )
    readme.write_text("".join([parts[0], begin, section, end, parts[4]]), encoding="utf-8")


def describe(result: OrthoBench) -> str:
    """Tables of all grids with what must be known to read them, in Markdown."""
    lines = [_conditions(result), "", _meaning(result), ""]
    for setting in result.settings:
        lines += [f"**{setting.name.capitalize()}**, {setting.shape[1]:,} x {setting.shape[0]:,} output px", ""]
        lines += [*_table(result, setting), ""]
    for tool in result.tools:
        failure = result.accuracy_of(tool.key).failure
        if tool.version and failure is not None:
            lines += [f"Where {tool.label} looked could not be measured: {_one_line(failure)}.", ""]
    notes = [f"{tool.label}: {tool.note}" for tool in result.tools if tool.version]
    versions = dict.fromkeys(tool.version for tool in result.tools if tool.version)
    lines += [f"{'; '.join(notes)}.", "", f"{', '.join(versions)}.", ""]
    absent = [f"{tool.label} (`{tool.install}`)" for tool in result.tools if not tool.version]
    if absent:
        lines += [f"Not installed: {', '.join(absent)}.", ""]
    return "\n".join(lines)


def _conditions(result: OrthoBench) -> str:
    machine, scene = result.machine, result.scene
    low, high = scene["heights_m"]
    return (
        f"{result.size:,} x {result.size:,} px, {result.bands} bands of 12 bits, 6.5 m, RPC; 1-arcsecond DEM, "
        f"{low:,.0f} to {high:,.0f} m, mean slope of the southern half {scene['south_mean_slope_deg']:.0f} degrees; "
        f"to UTM 43N, {result.resampling}, {result.threads} threads; compressed tiled output (Zstandard level 1, "
        f"Qyran's COG deflate). Whole process, page cache warm, {_counted(result.runs, 'round')} with the tools taking "
        f"turns. {machine['processor']}, {machine['cpus']} CPUs, {machine['memory_gb']} GB."
    )


def _meaning(result: OrthoBench) -> str:
    start = result.start_up
    points, steep = (max(getattr(row, name) for row in result.accuracy) for name in ("points", "steep_points"))
    return (
        "MPixB: million output pixels times bands. Errors: where the tool looked on a coordinate image, against "
        f"pyproj, bilinear DEM and RPC in float64, at {points:,} pixels, {steep:,} of them where terrain is steepest. "
        f"Qyran's start takes {start.cpu_s:.1f} s of CPU ({start.wall_s:.1f} s): a whole run on {start.window_px} x "
        f"{start.window_px} px."
    )


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _table(result: OrthoBench, setting: Setting) -> list[str]:
    rows = [_HEADINGS, tuple("---" if column == 0 else "---:" for column in range(len(_HEADINGS)))]
    for tool in result.tools:
        row = setting.row(tool.key)
        rows.append((tool.label, *_speeds(row, setting.row(QYRAN)), *_errors(result, row)))
    return ["| " + " | ".join(row) + " |" for row in rows]


def _one_line(words: str) -> str:
    """Without what would break a table: a tool's last words may hold anything."""
    return " ".join(words.split()).replace("|", "/")


def _speeds(row: Measured, qyran: Measured) -> tuple[str, ...]:
    if not row.done:
        return (_one_line(row.failure or "not run"), *(["-"] * 5))
    speed = row.throughput
    ratio = "1"
    if row.tool != QYRAN:
        times = row.slower_than(qyran) if qyran.done else None
        ratio = f"{times.median:.1f} [{times.least:.1f}-{times.most:.1f}]" if times else "-"
    return (
        f"{speed.median:.1f} [{speed.least:.1f}-{speed.most:.1f}]",
        f"{row.wall_s.median:.1f}",
        f"{row.cpu_s:.1f}",
        f"{row.megapixel_bands / row.cpu_s:.1f}",
        f"{row.peak_rss_bytes / 1e9:.2f}",
        ratio,
    )


def _errors(result: OrthoBench, row: Measured) -> tuple[str, str, str]:
    found = result.accuracy_of(row.tool)
    agreement = "-" if row.within_one_count is None else f"{row.within_one_count:.2%}"
    if found.max_px is None or found.rmse_px is None:
        return "-", "-", agreement
    return f"{found.max_px:.4f}", f"{found.rmse_px:.4f}", agreement


def picture(result: OrthoBench) -> str:
    """Speed on the first grid against error, as SVG.

    Raises
    ------
    BadInput
        ``bench.empty`` when no tool ran to its end.
    """
    setting = result.settings[0]
    dots = []
    for tool in result.tools:
        row, error = setting.row(tool.key), result.accuracy_of(tool.key).max_px
        if row.done and error is not None:
            speed = row.throughput
            dots.append(
                Dot(
                    label=tool.label,
                    error_px=max(error, _LEAST_ERROR_PX),
                    speed=speed.median,
                    slowest=speed.least,
                    fastest=speed.most,
                    ours=tool.key.startswith("qyran"),
                )
            )
    if not dots:
        raise BadInput("no tool ran to its end: there is nothing to draw", kind="bench.empty")
    title = (
        f"Orthorectification, {result.size:,} x {result.size:,} x {result.bands}, {setting.name}, {result.resampling}"
    )
    return speed_and_error(dots, title=title, bound_px=BOUND_PX)


def show_bench(result: OrthoBench, out: Console, err: Console) -> None:
    """Print the tables for a person; what is not installed, and how to install it, on stderr."""
    out.print(describe(result), markup=False)
    for tool in result.tools:
        if not tool.version:
            err.print(f"[yellow]not installed[/] {escape(tool.label)}: {escape(tool.install)}")

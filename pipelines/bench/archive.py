"""``qyran bench archive``: one band written and read in every format, in rounds, each tool in a process of its own."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bench.machine import describe_machine
from processing.model.errors import Defect
from processing.testing.archive_formats import FORMATS, band

Progress = Callable[[int, int, str], None]

LABELS = {
    "qyran": "Qyran, finest level",
    "qyran-levels": "Qyran, all levels",
    "zarr": "zarr-python, defaults",
    "zarr-ours": "zarr-python, Qyran's shards and codecs",
    "icechunk": "Icechunk, defaults",
    "cog": "COG, GDAL",
}
ACTIONS = {"write": "write, MB/s", "full": "read all, MB/s", "windows": "random windows, ms each", "level": "level, ms"}
REFERENCE = "zarr"
"""What the goals are held against: zarr-python without any of this."""
WRITE_GOAL, WINDOW_GOAL = 1.25, 1.2
_LONGEST_S = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveBenchOptions:
    """What to measure; the defaults are the command's."""

    size: int = 10_000
    window: int = 512
    windows: int = 200
    seed: int = 1
    runs: int = 3
    threads: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One format: seconds by action and round, and its size on disk."""

    key: str
    seconds: dict[str, list[float]]
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveBench:
    """Everything that was found."""

    machine: dict[str, str | int | float]
    options: ArchiveBenchOptions
    versions: dict[str, str]
    rows: tuple[Row, ...]

    def row(self, key: str) -> Row:
        """A format's."""
        return next(row for row in self.rows if row.key == key)

    def ratio(self, action: str, key: str, to: str = REFERENCE) -> float:
        """Median over the rounds of a format's time against another's in the same round."""
        pairs = zip(self.row(key).seconds[action], self.row(to).seconds[action], strict=True)
        return statistics.median(own / other for own, other in pairs)

    @property
    def megabytes(self) -> float:
        """Of the band, as numbers."""
        return self.options.size**2 * 2 / 1e6

    def document(self) -> dict[str, Any]:
        """As JSON: every run, ratios to zarr-python's defaults (time against time), and the two goals."""
        record = asdict(self)
        record["ratios"] = {row.key: {action: self.ratio(action, row.key) for action in ACTIONS} for row in self.rows}
        record["pairs"] = {
            action: {row.key: {other.key: self.ratio(action, row.key, other.key) for other in self.rows}
                     for row in self.rows}
            for action in ACTIONS
        }  # fmt: skip
        record["goals"] = {
            "write_cost": {"asked": WRITE_GOAL, "found": self.ratio("write", "qyran")},
            "window_speed": {"asked": WINDOW_GOAL, "found": 1 / self.ratio("windows", "qyran")},
        }
        return record


def run_archive_bench(folder: Path, how: ArchiveBenchOptions, *, progress: Progress | None = None) -> ArchiveBench:
    """Measure all formats.

    Parameters
    ----------
    folder
        For the band and, while it runs, for what the tools write: on the disk that is to be measured.

    Raises
    ------
    Defect
        ``bench.archive`` if a tool fails, or gives back other pixels than it was given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total, done = how.runs * len(FORMATS) + 1, 0
    if progress is not None:
        progress(0, total, "the band")
    pixels = folder / f"band-{how.size}-{how.seed}.npy"
    if not pixels.is_file():
        partial = pixels.with_suffix(".part.npy")
        np.save(partial, band(how.size, how.seed))
        partial.replace(pixels)
    seconds: dict[str, dict[str, list[float]]] = {key: {action: [] for action in ACTIONS} for key in FORMATS}
    sizes = {}
    keys = list(FORMATS)
    with tempfile.TemporaryDirectory(dir=folder, prefix="run-") as scratch:
        for number in range(how.runs):
            turn = number % len(keys)
            for key in (*keys[turn:], *keys[:turn]):
                done += 1
                if progress is not None:
                    progress(done, total, f"round {number + 1}: {LABELS[key]}")
                found, sizes[key] = _measured(key, how, pixels, Path(scratch) / "job")
                for action, value in found.items():
                    seconds[key][action].append(value)
    rows = tuple(Row(key=key, seconds=seconds[key], bytes=sizes[key]) for key in keys)
    names = ("zarr", "icechunk", "rasterio", "numcodecs")
    return ArchiveBench(
        machine=describe_machine(), options=how, versions={name: version(name) for name in names}, rows=rows
    )


def _measured(key: str, how: ArchiveBenchOptions, pixels: Path, scratch: Path) -> tuple[dict[str, float], int]:
    scratch.mkdir()
    try:
        job = scratch / "job.json"
        place = scratch / "product"
        document = {"place": str(place), "pixels": str(pixels), "shape": [how.size, how.size], **asdict(how)}
        job.write_text(json.dumps(document))
        os.sync()  # what the tool before has left to be written must not be written during this one
        found = _run(key, "write", job)
        os.sync()
        found |= _run(key, "windows", job)
        found |= _run(key, "full", job)
        return found, sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run(key: str, action: str, job: Path) -> dict[str, float]:
    result = subprocess.run(  # noqa: S603 - this package's own module
        [sys.executable, "-m", "processing.testing.archive_formats", key, action, str(job)],
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST_S,
    )
    if result.returncode != 0:
        raise Defect(f"{LABELS[key]} failed: {result.stderr.strip()[-400:]}", kind="bench.archive", where=action)
    return {name: float(value) for name, value in json.loads(result.stdout).items()}


def describe(result: ArchiveBench) -> str:
    """The table in Markdown, with what must be known to read it."""
    how, machine = result.options, result.machine
    conditions = (
        f"One band of {how.size:,} x {how.size:,} px uint16 ({result.megabytes:,.0f} MB), {how.threads} threads, page "
        f"cache warm; medians of {how.runs} rounds in which the tools take turns, each in a process of its own; in "
        f"brackets how many times as long as zarr-python's defaults took in the same round. Windows: {how.windows} "
        f"random ones of {how.window} px; level: all pixels four times as coarse. {machine['processor']}, "
        f"{machine['cpus']} CPUs, load {machine['load']}."
    )
    lines = [
        conditions,
        "",
        "| format | " + " | ".join(ACTIONS.values()) + " | MB |",
        "|---|" + "---:|" * (len(ACTIONS) + 1),
    ]
    for row in result.rows:
        cells = [_cell(result, row, action) for action in ACTIONS]
        lines.append(f"| {LABELS[row.key]} | " + " | ".join(cells) + f" | {row.bytes / 1e6:,.0f} |")
    goals = result.document()["goals"]
    included = (
        "Qyran's figures include what the others leave out: every shard hashed while it is written, the manifest, the "
        "check that nothing is missing, and the disk's word for it (`syncfs`). Zarr and Icechunk have no coarser "
        "levels by default: all pixels are read and most thrown away."
    )
    held = (
        f"Writing the finest level takes {goals['write_cost']['found']:.2f} times as long as zarr-python's defaults "
        f"(goal: at most {WRITE_GOAL:g}); random windows are read {goals['window_speed']['found']:.1f} times as fast "
        f"(goal: at least {WINDOW_GOAL:g})."
    )
    versions = ", ".join(f"{name} {number}" for name, number in result.versions.items())
    return "\n".join([*lines, "", included, "", held, "", f"{versions}.", ""])


def _cell(result: ArchiveBench, row: Row, action: str) -> str:
    median = statistics.median(row.seconds[action])
    if action in ("write", "full"):
        value = f"{result.megabytes / median:,.0f}"
    else:
        value = f"{1000 * median / (result.options.windows if action == 'windows' else 1):.2f}"
    return f"{value} ({result.ratio(action, row.key):.2f})"


def write_report(result: ArchiveBench, folder: Path) -> None:
    """Write ``archive.md`` and ``archive.json`` (every run) into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "archive.md").write_text(describe(result), encoding="utf-8")
    text = json.dumps(result.document(), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "archive.json").write_text(text + "\n", encoding="utf-8")

"""What a benchmark found: figures, and the statistics taken of them."""

import statistics
from dataclasses import asdict, dataclass
from typing import Any, Self

from pipelines.bench.measure import Usage
from processing.testing.coordinate_truth import Lookup

QYRAN = "qyran-zarr"
"""The row that the ratios of all others refer to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFound:
    """A tool, found or not."""

    key: str
    label: str
    version: str | None
    note: str
    install: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Where a tool looked on the coordinate image, against the truth, px of the source."""

    tool: str
    failure: str | None = None
    points: int = 0
    steep_points: int = 0
    """Of these, where the terrain is steepest."""
    max_px: float | None = None
    rmse_px: float | None = None
    p99_px: float | None = None
    mean_px: tuple[float, float] | None = None
    missing_share: float | None = None

    @classmethod
    def of(cls, tool: str, lookup: Lookup) -> Self:
        """The figures of a tool."""
        return cls(tool=tool, **asdict(lookup))


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUp:
    """Median of Qyran's runs on a window of a few pixels: whole process, imports, plan and files included."""

    window_px: int
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median and range."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> Self:
        """Of at least one value."""
        return cls(median=statistics.median(values), least=min(values), most=max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The runs of a tool on one grid, in the order of the rounds."""

    tool: str
    failure: str | None = None
    runs: tuple[Usage, ...] = ()
    megapixel_bands: float = 0.0
    """Output pixels times bands, millions."""
    missing_share: float | None = None
    """Of points well inside the image, those without a value."""
    within_one_count: float | None = None
    """Share of sampled counts that differ from the reference's by one at most."""

    @property
    def done(self) -> bool:
        """Whether there is anything to report."""
        return bool(self.runs) and self.failure is None

    @property
    def throughput(self) -> Spread:
        """Millions of output pixels times bands in a second."""
        return Spread.of([self.megapixel_bands / run.wall_s for run in self.runs])

    @property
    def wall_s(self) -> Spread:
        """From fork to exit."""
        return Spread.of([run.wall_s for run in self.runs])

    @property
    def cpu_s(self) -> float:
        """Median of user and system time."""
        return statistics.median(run.cpu_s for run in self.runs)

    @property
    def peak_rss_bytes(self) -> int:
        """Highest of the runs."""
        return max(run.peak_rss_bytes for run in self.runs)

    def slower_than(self, other: Self) -> Spread:
        """How many times as fast the other one was, round by round."""
        pairs = zip(self.runs, other.runs, strict=False)
        return Spread.of(
            [(theirs.wall_s / self.megapixel_bands) / (ours.wall_s / other.megapixel_bands) for theirs, ours in pairs]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One grid, every tool."""

    name: str
    shape: tuple[int, int]
    """Rows, columns."""
    rows: tuple[Measured, ...]

    def row(self, tool: str) -> Measured:
        """The runs of a tool."""
        return next(row for row in self.rows if row.tool == tool)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthoBench:
    """Everything that ``qyran bench ortho`` found."""

    machine: dict[str, str | int | float]
    size: int
    bands: int
    seed: int
    resampling: str
    runs: int
    threads: int
    scene: dict[str, Any]
    tools: tuple[ToolFound, ...]
    accuracy: tuple[Accuracy, ...]
    start_up: StartUp
    settings: tuple[Setting, ...]

    def accuracy_of(self, tool: str) -> Accuracy:
        """Where a tool looked."""
        return next(found for found in self.accuracy if found.tool == tool)

    def document(self) -> dict[str, Any]:
        """As JSON: every run, and the statistics."""
        record = asdict(self)
        for setting, found in zip(record["settings"], self.settings, strict=True):
            qyran = found.row(QYRAN)
            for row, measured in zip(setting["rows"], found.rows, strict=True):
                if measured.done:
                    row["throughput_mpixb_s"] = asdict(measured.throughput)
                    row["wall_s"] = asdict(measured.wall_s)
                    row["cpu_s"] = measured.cpu_s
                    row["peak_rss_bytes"] = measured.peak_rss_bytes
                if measured.done and qyran.done and measured.tool != QYRAN:
                    row["qyran_times_as_fast"] = asdict(measured.slower_than(qyran))
        return record

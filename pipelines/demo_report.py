"""The demo's closing words: a table of products and their measured errors, where they lie, what to do next."""

import shutil
import sys
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from pipelines.cli.output import out
from pipelines.demo import DemoResult, Measured
from processing.model.quality import Outcome


def show_report(result: DemoResult) -> None:
    """Print the result for a person."""
    out.print(_table(result))
    out.print(
        "  Errors are against the simulator's exact truth, over clear land, the camera's known bias taken out.",
        "\n  TOA error is the worst band's median, NDVI error the median over the scene.",
        sep="",
    )
    broken = next((outcome for outcome in result.outcomes if outcome.outcome is Outcome.QUARANTINED), None)
    if broken is not None:
        out.print(f"\nThe broken package is in quarantine ({', '.join(broken.reasons)}):")
        out.print(f"  {escape(broken.quarantine or '')}")
    out.print(f"\n{result.catalogued} items in the catalogue. Archive and files:")
    for product in result.products:
        out.print(f"  {escape(product.archive)}\n  {escape(product.files)}/")
    for shortcoming in result.shortcomings:
        out.print(f"[bold red]not as it must be:[/] {escape(shortcoming)}")
    out.print(f"\nDone in {result.seconds:.0f} s, of which simulation {result.simulation_seconds:.0f} s. Next:")
    home, qyran = _from_here(Path(result.home)), _command()
    for command in (
        f"{qyran} search --home {home} --collection kazeosat-1-l1c",
        f"{qyran} info {_from_here(Path(result.outcomes[0].package))}",
        f"{qyran} process YOUR-PACKAGE --dem YOUR-DEM --home {home}",
    ):
        out.print(f"  {escape(command)}")


def _from_here(path: Path) -> Path:
    """A path as short as a person would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _command() -> str:
    """How to call this very program: by its name where the shell finds it, else by its path."""
    return "qyran" if shutil.which("qyran") else str(_from_here(Path(sys.executable).parent / "qyran"))


def _table(result: DemoResult) -> Table:
    table = Table(title="Products", box=None, padding=(0, 2), title_justify="left", title_style="bold")
    table.add_column("product", overflow="fold")
    table.add_column("grid")
    for title in ("MB", "s", "RMSE px", "CE90 px", "TOA error", "NDVI error"):
        table.add_column(title, justify="right")
    for product in result.products:
        for number, measured in enumerate(product.measured):
            first = number == 0
            table.add_row(
                f"{product.collection}/{product.id}" if first else "",
                measured.group,
                f"{product.megabytes:.1f}" if first else "",
                f"{product.seconds:.1f}" if first else "",
                *_figures(measured),
            )
    return table


def _figures(measured: Measured) -> tuple[str, str, str, str]:
    ndvi = "-"
    if measured.ndvi_median is not None and measured.ndvi_rmse is not None:
        ndvi = f"{measured.ndvi_median:+.4f} (RMSE {measured.ndvi_rmse:.4f})"
    return (
        "-" if measured.rmse_px is None else f"{measured.rmse_px:.3f}",
        "-" if measured.ce90_px is None else f"{measured.ce90_px:.3f}",
        "-" if measured.toa_percent is None else f"{measured.toa_percent:.2f} %",
        ndvi,
    )

"""``qyran bench``: how fast and how right, measured on this machine, side by side with other tools."""

import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import configure_logging, err, out, plain_errors, print_json, progress_bar

bench = typer.Typer(
    name="bench",
    help="Measure on this machine, side by side with other tools.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


class Resampling(StrEnum):
    """Interpolation of the image."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    CUBIC = "cubic"
    LANCZOS = "lanczos"


@bench.callback()
def _root() -> None:
    pass


@bench.command()
def ortho(
    home: HomeOption = None,
    size: Annotated[int, typer.Option(help="Lines and samples of the scene.", min=256, max=40_000)] = 10_000,
    bands: Annotated[int, typer.Option(help="Bands.", min=1, max=4)] = 4,
    seed: Annotated[int, typer.Option(help="Same seed, same scene.")] = 1,
    resampling: Annotated[Resampling, typer.Option(help="Interpolation of the image.")] = Resampling.CUBIC,
    window: Annotated[
        int | None, typer.Option(help="Side of the inner window, px; 0: none. [default: 0.512 of the size]", min=0)
    ] = None,
    whole: Annotated[bool, typer.Option(help="Measure the whole scene, not only the window.")] = True,
    runs: Annotated[int, typer.Option(help="Rounds in which the tools take turns.", min=1, max=100)] = 3,
    threads: Annotated[int, typer.Option(help="CPUs that every tool is bound to.", min=1)] = 2,
    peers: Annotated[bool, typer.Option("--peers", help="Run GDAL, rasterio, OTB and orthority too.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Folder for table.md, ortho.svg and ortho.json.", metavar="DIR")
    ] = None,
    readme: Annotated[
        Path | None,
        typer.Option(help="Markdown file whose section between the bench markers is renewed.", exists=True),
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Orthorectify one scene with every tool that is here: time, memory, and error against the truth.

    The scene (10,000 x 10,000 px, steep mountains) is made once, in half a minute, and kept under HOME/bench. With
    peers, the full measurement takes about an hour; `--size 3000 --runs 1` a few minutes.

    Example: `qyran bench ortho --peers --size 3000 --report bench/`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.bench.ortho import OrthoBenchOptions, run_ortho_bench
        from pipelines.bench.report import renew_section, show_bench, write_report

        options = OrthoBenchOptions(
            size=size,
            bands=bands,
            seed=seed,
            resampling=resampling.value,
            window=window,
            whole=whole,
            runs=runs,
            threads=threads,
            peers=peers,
        )
        # Told to end, it ends as after Ctrl-C: what it started is ended, what it wrote is removed.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        with progress_bar("bench") as tell:
            result = run_ortho_bench(Home.resolve(home).path / "bench", options, progress=tell)
        if report is not None:
            write_report(result, report)
        if readme is not None:
            renew_section(result, readme, report)
        if as_json:
            print_json(result.document())
        else:
            show_bench(result, out, err)


@bench.command()
def archive(
    home: HomeOption = None,
    size: Annotated[int, typer.Option(help="Rows and columns of the band.", min=1024, max=40_000)] = 10_000,
    windows: Annotated[int, typer.Option(help="Random windows to read.", min=1)] = 200,
    runs: Annotated[int, typer.Option(help="Rounds in which the tools take turns.", min=1, max=100)] = 3,
    threads: Annotated[int, typer.Option(help="CPUs that every tool is bound to.", min=1)] = 2,
    report: Annotated[Path | None, typer.Option(help="Folder for archive.md and archive.json.", metavar="DIR")] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write and read one band in the archive's format, zarr-python's and Icechunk's defaults, and as a COG.

    Times, sizes, and ratios pair by pair, within rounds; what was read is compared with what was written. About
    two minutes; `--size 2500 --runs 1` a few seconds.

    Example: `qyran bench archive --size 10000 --report bench/ --json`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.bench.archive import ArchiveBenchOptions, describe, run_archive_bench, write_report

        options = ArchiveBenchOptions(size=size, windows=windows, runs=runs, threads=threads)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        with progress_bar("bench") as tell:
            result = run_archive_bench(Home.resolve(home).path / "bench", options, progress=tell)
        if report is not None:
            write_report(result, report)
        if as_json:
            print_json(result.document())
        else:
            out.print(Markdown(describe(result)))

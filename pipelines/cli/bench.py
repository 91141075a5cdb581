"""``qyran bench``: how fast and how right, measured on this machine, side by side with other tools."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markdown import Markdown

from pipelines.bench.flow_kind import SceneKind
from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import configure_logging, err, out, plain_errors, print_json, progress_bar

bench = typer.Typer(
    name="bench",
    help="Measure on this machine, side by side with other tools.",
    no_args_is_help=True,
    add_completion=False,
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
        with _measuring() as tell:
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
        with _measuring() as tell:
            result = run_archive_bench(Home.resolve(home).path / "bench", options, progress=tell)
        if report is not None:
            write_report(result, report)
        _told(result, describe, as_json=as_json)


@bench.command()
def catalogue(
    home: HomeOption = None,
    items: Annotated[
        list[int] | None,
        typer.Option(help="Items in the catalogue; several times: it grows. [default: 10000, 100000]", min=100),
    ] = None,
    pgstac_most: Annotated[
        int, typer.Option(help="The most items that PostgreSQL is filled with as well; 0: without it.", min=0)
    ] = 100_000,
    questions: Annotated[int, typer.Option(help="Of each kind.", min=1, max=10_000)] = 100,
    report: Annotated[
        Path | None, typer.Option(help="Folder for catalogue.md, catalogue.svg and catalogue.json.", metavar="DIR")
    ] = None,
    readme: Annotated[
        Path | None,
        typer.Option(help="Markdown file whose section between the bench markers is renewed.", exists=True),
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Put synthetic items into the embedded catalogue and into PostgreSQL with pgstac, and search them.

    Items per second of CPU, memory, disk, and the time of three kinds of questions, at the real server and in the
    store. A PostgreSQL of its own is started where it is installed, on loopback, and removed. With the defaults about
    five minutes; a million items a quarter of an hour, and twice as much in PostgreSQL.

    Example: `qyran bench catalogue --items 10000 --items 100000 --items 1000000 --report bench/`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.bench.catalogue import CatalogueBenchOptions, run_catalogue_bench
        from pipelines.bench.catalogue_report import renew_section, write_report
        from pipelines.bench.catalogue_results import describe

        sizes = tuple(sorted(set(items or (10_000, 100_000))))
        options = CatalogueBenchOptions(sizes=sizes, pgstac_most=pgstac_most, questions=questions)
        with _measuring() as tell:
            result = run_catalogue_bench(Home.resolve(home).path / "bench", options, progress=tell)
        if report is not None:
            write_report(result, report)
        if readme is not None:
            renew_section(result, readme, report)
        if result.without_pgstac:
            err.print(f"[yellow]without pgstac[/]: {result.without_pgstac}")
        _told(result, describe, as_json=as_json)


@bench.command()
def flow(
    home: HomeOption = None,
    scene: Annotated[
        SceneKind,
        typer.Option(
            help="`small`: next to nothing to compute; `demo`: those of `qyran demo`, which are simulated first."
        ),
    ] = SceneKind.SMALL,
    scenes: Annotated[int, typer.Option(help="Scenes that are dropped into the landing zone.", min=4)] = 20,
    baseline: Annotated[int, typer.Option(help="Scenes processed without Prefect.", min=2)] = 6,
    report: Annotated[
        Path | None, typer.Option(help="Folder for flow.md and flow.json, or flow-demo.*.", metavar="DIR")
    ] = None,
    readme: Annotated[
        Path | None,
        typer.Option(help="Markdown file whose section between the bench markers is renewed.", exists=True),
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Drop scenes into the landing zone of a `qyran up` of its own, and time them until they are catalogued.

    Scenes per hour, what orchestration adds to each against the same work without Prefect, the time from landing to
    catalogue, and how Prefect's server answers meanwhile. Twenty scenes take some minutes on two cores.

    Example: `qyran bench flow --scenes 200 --report bench/`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.bench.flow import FlowBenchOptions, run_flow_bench
        from pipelines.bench.flow_results import describe, section_of, write_report
        from pipelines.bench.report import renew_between

        options = FlowBenchOptions(kind=scene, scenes=scenes, baseline=baseline)
        with _measuring() as tell:
            result = run_flow_bench(Home.resolve(home).path / "bench", options, progress=tell)
        if report is not None:
            write_report(result, report)
        if readme is not None:
            renew_between(readme, section_of(scene), f"\n{describe(result)}\n")
        _told(result, describe, as_json=as_json)


@bench.command()
def load(
    home: HomeOption = None,
    seconds: Annotated[float, typer.Option(help="How long it goes on.", min=1)] = 300.0,
    customers: Annotated[int, typer.Option(help="Customers, each with a connection of its own.", min=1, max=500)] = 50,
    per_second: Annotated[float, typer.Option(help="Requests of all of them together.", min=0.1)] = 20.0,
    items: Annotated[int, typer.Option(help="Synthetic items in the catalogue.", min=100)] = 20_000,
    scenes: Annotated[int, typer.Option(help="Small scenes that are processed, for tiles and pictures.", min=1)] = 4,
    report: Annotated[Path | None, typer.Option(help="Folder for load.md and load.json.", metavar="DIR")] = None,
    readme: Annotated[
        Path | None,
        typer.Option(help="Markdown file whose section between the bench markers is renewed.", exists=True),
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Have fifty customers search, look at tiles and thumbnails, ask for quotes and list orders, all at once.

    An installation of its own is made and served by the real server. Says p50 and p95 of every kind of request, and
    every request on which the server failed.

    Example: `qyran bench load --seconds 60 --report bench/`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.bench.load import LoadBenchOptions, run_load_bench
        from pipelines.bench.load_results import describe, write_report
        from pipelines.bench.report import renew_between

        options = LoadBenchOptions(
            seconds=seconds, customers=customers, per_second=per_second, items=items, scenes=scenes
        )
        with _measuring() as tell:
            result = run_load_bench(Home.resolve(home).path / "bench", options, progress=tell)
        if report is not None:
            write_report(result, report)
        if readme is not None:
            renew_between(readme, "load", f"\n{describe(result)}")
        _told(result, describe, as_json=as_json)


@contextmanager
def _measuring() -> Iterator[Callable[[int, int, str], None]]:
    """A bar. Told to end, it ends as after Ctrl-C: what was started is ended, what was written is removed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with progress_bar("bench") as tell:
        yield tell


def _told(result: Any, describe: Callable[[Any], str], *, as_json: bool) -> None:
    if as_json:
        print_json(result.document())
    else:
        out.print(Markdown(describe(result)))

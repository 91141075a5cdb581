"""The command ``qyran``. Each module holds one command; heavy imports wait until a command runs."""

import typer

from pipelines.cli.adjust import adjust
from pipelines.cli.bench import bench
from pipelines.cli.demo import demo
from pipelines.cli.doctor import doctor
from pipelines.cli.export_rpc import export_rpc
from pipelines.cli.info import info
from pipelines.cli.ortho import ortho
from pipelines.cli.process import process
from pipelines.cli.reprocess import reprocess
from pipelines.cli.reproduce import reproduce
from pipelines.cli.search import search
from pipelines.cli.simulate import simulate
from pipelines.cli.verify import verify
from pipelines.cli.versions import versions
from pipelines.memory import share_one_arena

app = typer.Typer(
    name="qyran",
    help="Ground segment for Earth-observation images: from the delivered package to the catalogued product.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for command in (
    demo,
    info,
    process,
    search,
    ortho,
    adjust,
    export_rpc,
    simulate,
    reproduce,
    reprocess,
    versions,
    verify,
    doctor,
):
    app.command()(command)
app.add_typer(bench)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"qyran {version('qyran')}")
        raise typer.Exit


@app.callback()
def _root(
    _: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version and exit."),
) -> None:
    pass


def main() -> None:
    """Run the command line. Exit codes: 0 done (held and rejected are results), 1 failed, 2 wrong usage."""
    share_one_arena()
    app()

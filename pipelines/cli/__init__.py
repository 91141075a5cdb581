"""The command ``qyran``. Each module holds one command, and is imported when that command is asked for."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from pipelines.memory import keep_one_heap

COMMANDS = (
    "demo", "up", "info", "process", "backfill", "search", "passes", "day", "ortho", "adjust", "export-rpc",
    "simulate", "composite", "reproduce", "reprocess", "versions", "desk", "order", "subscription", "download",
    "report", "customer", "policy", "audit", "cube", "verify", "mirror", "clean", "recover", "catalogue", "doctor",
    "bench",
)  # fmt: skip
"""In the order of the help. ``export-rpc`` is ``export_rpc`` in ``export_rpc.py``: a function or a group."""


class _OnDemand(TyperGroup):
    """Commands whose modules wait until they are needed: most of what others import, one command never uses."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        found = getattr(import_module(f"pipelines.cli.{name}"), name)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)
            alone.command(cmd_name)(found)
            found = alone
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="qyran",
    cls=_OnDemand,
    help="Ground segment for Earth-observation images: from the delivered package to the catalogued product.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


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
    keep_one_heap()
    app()

"""``qyran catalogue``: the catalogue itself, not what it holds."""

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, err, out, plain_errors, print_json

catalogue = typer.Typer(
    name="catalogue",
    help="The catalogue itself.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@catalogue.callback()
def _group() -> None:
    pass


@catalogue.command()
def rebuild(home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Make the catalogue anew from the products, whose items lie beside their files.

    A damaged database is kept in a folder beside the new one. Rows without a product go, products without a row get
    one. Stop other Qyran processes before. Exits 1 if a product had to be left out because its bytes are not all there.

    Example: `qyran catalogue rebuild --home /srv/qyran`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.registry import load_registry
        from configs.settings import Home
        from pipelines.rebuild import rebuild_catalogue

        place = Home.resolve(home)
        done = rebuild_catalogue(place, load_registry(place.configs))
        if as_json:
            print_json(done.model_dump(mode="json"))
        else:
            if done.set_aside:
                out.print(f"the database was damaged ({escape(done.damage[0])}); it lies in {escape(done.set_aside)}")
            out.print(
                f"{done.rows} items are in the catalogue, {len(done.removed)} rows without a product were removed"
            )
            for one in done.skipped:
                err.print(f"[bold red]left out[/] {escape(one.item)}: {escape(one.why)}")
        if done.skipped:
            raise typer.Exit(FAILED)

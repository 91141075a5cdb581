"""``qyran catalogue``: the catalogue itself, not what it holds."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, err, out, plain_errors, print_json, progress_bar

catalogue = typer.Typer(
    name="catalogue",
    help="The catalogue itself.",
    no_args_is_help=True,
    add_completion=False,
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


@catalogue.command()
def move(
    to: Annotated[
        str | None, typer.Option("--to", help="Into this PostgreSQL database.", metavar="URL", show_default=False)
    ] = None,
    back_from: Annotated[
        str | None,
        typer.Option(
            "--from", help="From this PostgreSQL database, back into HOME.", metavar="URL", show_default=False
        ),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Copy the catalogue from the embedded store into a PostgreSQL database with pgstac, or back.

    The database must exist, PostGIS must be installed, and the user may create extensions there. Put the password into
    libpq's password file (`~/.pgpass`), not into the URL: command lines are seen by everybody on the machine. The
    original stays. Set `QYRAN_CATALOGUE_URL`, or `url` in `HOME/configs/catalogue.yaml`, for the database to count.

    Example: `qyran catalogue move --to postgresql://qyran@db.example.org/catalogue`
    """
    configure_logging(debug=debug)
    if (to is None) == (back_from is None):
        raise typer.BadParameter("give either --to or --from")
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.catalogue_copy import move_catalogue

        with progress_bar("move") as report:
            done = move_catalogue(Home.resolve(home), to or back_from or "", back=to is None, report=report)
        if as_json:
            print_json(done.model_dump(mode="json"))
        else:
            out.print(f"{done.items} items in {done.collections} collections are there, {done.written} of them new")
            out.print(
                "set QYRAN_CATALOGUE_URL (or url in HOME/configs/catalogue.yaml): from then on the database counts"
                if to is not None
                else "take QYRAN_CATALOGUE_URL, and url in HOME/configs/catalogue.yaml, away: HOME counts again"
            )


@catalogue.command()
def export(
    path: Annotated[Path, typer.Argument(metavar="FILE.parquet", help="File to write.", show_default=False)],
    collection: Annotated[str | None, typer.Option("--collection", help="Only this collection.", metavar="ID")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write items as GeoParquet, for GeoPandas, DuckDB, QGIS and stac-geoparquet.

    Example: `qyran catalogue export scenes.parquet --collection kazeosat-1-l1c`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.catalogue_copy import export_catalogue

        done = export_catalogue(Home.resolve(home), path.expanduser().resolve(), collection=collection)
        if as_json:
            print_json(done.model_dump(mode="json"))
        else:
            out.print(f"{done.items} items: {escape(done.path)}")

"""``qyran search``: find items in the catalogue."""

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import configure_logging, err, out, plain_errors, print_json


def _bbox(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter("four numbers W,S,E,N are needed", param_hint="--bbox") from error
    return west, south, east, north


def search(
    collection: Annotated[str | None, typer.Option(help="Collection id, e.g. kazeosat-1-l1c.")] = None,
    bbox: Annotated[str | None, typer.Option(help="Degrees.", metavar="W,S,E,N")] = None,
    datetime: Annotated[
        str | None, typer.Option(help="RFC 3339 instant, or interval with .. for an open end.", metavar="A/B")
    ] = None,
    filter_text: Annotated[str | None, typer.Option("--filter", help="CQL2 text.", metavar="CQL2")] = None,
    limit: Annotated[int, typer.Option(help="At most so many items.", min=1, max=10_000)] = 100,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Search the catalogue. `--json` prints a GeoJSON FeatureCollection of STAC items.

    Example: `qyran search --collection kazeosat-1-l1c --bbox 76,42,78,44 --filter "eo:cloud_cover < 20" --json`
    """
    configure_logging(debug=debug)
    box = _bbox(bbox)
    with plain_errors(as_json=as_json, debug=debug):
        from pipelines.catalogue import search_items

        found = search_items(home, collection=collection, bbox=box, datetime=datetime, cql2=filter_text, limit=limit)
        if as_json:
            print_json(found)
        else:
            _show(found)


def _show(found: dict[str, Any]) -> None:
    if not found["features"]:
        err.print("nothing found")
        return
    table = Table(box=None, padding=(0, 2))
    for title in ("item", "collection", "acquired", "cloud %"):
        table.add_column(title, overflow="fold")
    for item in found["features"]:
        facts = item["properties"]
        cloud = facts.get("eo:cloud_cover")
        table.add_row(
            escape(item["id"]),
            escape(item["collection"]),
            str(facts.get("datetime")),
            "-" if cloud is None else f"{cloud:g}",
        )
    out.print(table)

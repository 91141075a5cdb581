"""``qyran report``: what was delivered in a month, to whom, and what it brought."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.options import DebugOption, HomeOption
from pipelines.cli.output import configure_logging, out, plain_errors, print_json


class Form(StrEnum):
    """How a report is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PDF = "pdf"


class Language(StrEnum):
    """In which language a PDF speaks."""

    EN = "en"
    RU = "ru"
    KK = "kk"


def report(
    month: Annotated[str, typer.Option(help="Which month, UTC.", metavar="2026-11")],
    form: Annotated[Form, typer.Option("--format", help="csv: every delivered item; the others: sums.")] = Form.TABLE,
    to: Annotated[
        Path | None, typer.Option("--out", help="File to write. [default: stdout; of a PDF, qyran-MONTH.pdf]")
    ] = None,
    language: Annotated[Language, typer.Option(help="Of a PDF.")] = Language.EN,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    home: HomeOption = None,
    debug: DebugOption = False,
) -> None:
    """Report a month's deliveries: export revenue beside domestic service free of charge.

    Counted are km2, scenes, bytes and sums, by class of customer, customer, country, and ministry or region.

    Example: `qyran report --month 2026-11 --format pdf --language ru --out november.pdf`
    """
    configure_logging(debug=debug)
    chosen = Form.JSON if as_json else form
    with plain_errors(as_json=chosen is Form.JSON, debug=debug):
        from catalogs.delivery.report import read_report, report_csv

        found = read_report(home, month)
        match chosen:
            case Form.JSON:
                document = found.model_dump(mode="json")
                print_json(document)
            case Form.CSV:
                _write(report_csv(found).encode("utf-8-sig"), to)
            case Form.PDF:
                from catalogs.delivery.report_pdf import report_pdf

                place = to or Path(f"qyran-{month}.pdf")
                _write(report_pdf(found, language.value), place)
            case _:
                _show(found)


def _write(content: bytes, to: Path | None) -> None:
    if to is None:
        typer.echo(content.decode("utf-8-sig"), nl=False)
        return
    from processing.archive.durable import write_file

    write_file(to.absolute(), content)
    out.print(escape(str(to)))


def _show(found: Any) -> None:
    from catalogs.delivery.report_pdf import grouped, money

    parts = [("summary", (found.export, found.domestic, found.domestic_free, found.total))]
    parts += [(name, getattr(found, name)) for name in ("by_class", "by_customer", "by_country", "by_region")]
    for title, lines in parts:
        if not lines:
            continue
        table = Table(title.replace("_", " "), "orders", "scenes", "km2", "GB", "amount", box=None)
        for line in lines:
            table.add_row(
                escape(line.key), str(line.orders), str(line.scenes), grouped(line.km2, 2),
                grouped(line.gigabytes, 3), money(line.amounts),
            )  # fmt: skip
        out.print(table)

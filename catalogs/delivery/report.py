"""The month's report: what was delivered to whom, what was sold abroad beside what was done free of charge."""

import csv
import io
import re
from contextlib import closing
from pathlib import Path
from typing import Literal

from catalogs.delivery.metering import MonthReport, UsageRow, month_report
from catalogs.delivery.order_store import open_orders
from configs.settings import Home
from processing.model.errors import BadInput

type Language = Literal["en", "ru", "kk"]
"""In which a report is written for people."""
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
"""What a spreadsheet may take for a formula if a cell begins with it."""


def read_report(home: Path | None, month: str) -> MonthReport:
    """The report of a month, ``2026-11``.

    Raises
    ------
    BadInput
        ``report.month`` if it is none.
    """
    if not _MONTH.fullmatch(month):
        raise BadInput(f"'{month}' is no month", kind="report.month", remedy="Write it 2026-11.")
    with closing(open_orders(Home.resolve(home).path).connection()) as connection:
        return month_report(connection, month)


def report_csv(report: MonthReport) -> str:
    """Every delivered item of the month, a line each, for spreadsheets: no cell becomes a formula there."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    names = list(UsageRow.model_fields)
    writer.writerow(names)
    for row in report.rows:
        values = row.model_dump(mode="json")
        writer.writerow([harmless(str(values[name])) for name in names])
    return text.getvalue()


def harmless(text: str) -> str:
    """A cell's text that no spreadsheet takes for a formula: with an apostrophe before it if it might be."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text

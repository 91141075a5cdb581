"""The month's report: sums that are exact, rows that stay, cells that stay cells, letters that stay letters."""

import csv
import io
import sqlite3
from contextlib import closing
from decimal import Decimal

import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.delivery.metering import UsageRow, insert_usage, month_report
from catalogs.delivery.order_store import open_orders
from catalogs.delivery.report import harmless, read_report, report_csv
from catalogs.delivery.report_pdf import report_pdf
from processing.model.errors import BadInput


def row(number: int, name: str, kind: str, *, amount="0", currency="KZT", km2="10.5", month="2026-11", region="KZ-75"):
    return UsageRow(
        order_id=f"o{number}", item=f"c/i{number}", month=month, day=f"{month}-03", customer=f"c_{name}",
        customer_name=name, customer_class=kind, country="KZ" if "dom" in kind else "UZ", region=region,
        km2=Decimal(km2), bytes=1_500_000_000, amount=Decimal(amount), currency=currency,
    )  # fmt: skip


ROWS = (
    row(1, "Ұлытау әкімдігі", "gov_domestic"),
    row(2, "Қазгеодезия", "domestic", amount="3262.50"),
    row(3, "Space Co", "export_ally", amount="100.10", currency="USD"),
    row(4, "Space Co", "export_ally", amount="0.20", currency="USD"),
    row(5, "=cmd|' /C calc'!A0", "export_other", amount="7.00", currency="USD"),
    row(6, "Space Co", "export_ally", amount="1.00", currency="USD", month="2026-10"),
)


@pytest.fixture
def counted(tmp_path):
    with closing(open_orders(tmp_path).connection()) as connection:
        insert_usage(connection, ROWS)
        insert_usage(connection, ROWS[:2])  # delivered again: counted once
    return tmp_path


def test_export_stands_beside_domestic_service(counted):
    report = read_report(counted, "2026-11")
    assert (report.export.orders, report.export.amounts) == (3, {"USD": Decimal("107.30")})
    assert (report.domestic.orders, report.domestic.amounts) == (2, {"KZT": Decimal("3262.50")})
    assert (report.domestic_free.orders, report.domestic_free.km2) == (1, Decimal("10.5"))
    assert (report.total.scenes, report.total.km2, report.total.gigabytes) == (5, Decimal("52.5"), Decimal("7.5"))
    assert [line.key for line in report.by_customer].count("Space Co") == 1
    assert {line.key for line in report.by_country} == {"KZ", "UZ"}
    with pytest.raises(BadInput):
        read_report(counted, "2026-13")


def test_what_was_counted_is_never_changed(counted):
    with closing(open_orders(counted).connection()) as connection:
        for statement in ("UPDATE usage SET amount = '0'", "DELETE FROM usage"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
                connection.execute(statement)
        assert len(month_report(connection, "2026-11").rows) == 5


def test_no_cell_becomes_a_formula(counted):
    cells = [cell for line in csv.reader(io.StringIO(report_csv(read_report(counted, "2026-11")))) for cell in line]
    assert "'=cmd|' /C calc'!A0" in cells
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


@given(st.text())
def test_a_harmless_cell_never_begins_a_formula(text):
    assert not harmless(text).lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "|", "%"))
    assert harmless(text).endswith(text)


@pytest.mark.parametrize(("language", "title"), [
    ("en", "Deliveries of Earth-observation data"),
    ("ru", "Поставки данных дистанционного зондирования"),
    ("kk", "Жерді қашықтықтан зондтау деректерін жеткізу"),
])  # fmt: skip
def test_a_pdf_says_it_in_three_languages(counted, language, title):
    content = report_pdf(read_report(counted, "2026-11"), language)
    text = "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages)
    for words in (title, "Ұлытау әкімдігі", "Қазгеодезия", "107.30 USD"):
        assert words in text.replace("\u00a0", " "), words
    assert report_pdf(read_report(counted, "2026-11"), language) == content

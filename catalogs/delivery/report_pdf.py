"""The month's report as a PDF: tables in a font that knows Kazakh, Russian and English letters."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace

from catalogs.delivery.metering import Line, MonthReport
from catalogs.delivery.report import Language

_FONT = "DejaVu"
_MARGIN_MM = 18
_WIDTHS = (32, 13, 13, 16, 14, 24)
_GREY, _DARK = (236, 239, 244), (30, 41, 59)

_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "title": "Deliveries of Earth-observation data", "month": "Month", "summary": "Summary",
        "export": "Export", "domestic": "Domestic", "domestic_free": "of which free of charge", "total": "Total",
        "by_class": "By class of customer", "by_customer": "By customer", "by_country": "By country",
        "by_region": "By ministry or region", "name": "", "orders": "Orders", "scenes": "Scenes", "km2": "km²",
        "gb": "GB", "amount": "Amount", "nothing": "Nothing was delivered in this month.", "page": "Page",
    },
    "ru": {
        "title": "Поставки данных дистанционного зондирования", "month": "Месяц", "summary": "Итоги",
        "export": "Экспорт", "domestic": "Внутри страны", "domestic_free": "в том числе безвозмездно",
        "total": "Всего", "by_class": "По классам потребителей", "by_customer": "По потребителям",
        "by_country": "По странам", "by_region": "По министерствам и регионам", "name": "", "orders": "Заказы",
        "scenes": "Сцены", "km2": "км²", "gb": "ГБ", "amount": "Сумма", "nothing": "За месяц поставок не было.",
        "page": "Страница",
    },
    "kk": {
        "title": "Жерді қашықтықтан зондтау деректерін жеткізу", "month": "Ай", "summary": "Қорытынды",
        "export": "Экспорт", "domestic": "Ел ішінде", "domestic_free": "оның ішінде ақысыз", "total": "Барлығы",
        "by_class": "Тұтынушы санаттары бойынша", "by_customer": "Тұтынушылар бойынша",
        "by_country": "Елдер бойынша", "by_region": "Министрліктер мен өңірлер бойынша", "name": "",
        "orders": "Тапсырыстар", "scenes": "Көріністер", "km2": "км²", "gb": "ГБ", "amount": "Сома",
        "nothing": "Бұл айда жеткізу болған жоқ.", "page": "Бет",
    },
}  # fmt: skip


class _Paper(FPDF):
    def __init__(self, words: dict[str, str], month: str) -> None:
        super().__init__(format="A4")
        self._words, self._month = words, month
        fonts = files("catalogs.delivery") / "fonts"
        self.add_font(_FONT, "", str(fonts / "DejaVuSans.ttf"))
        self.add_font(_FONT, "B", str(fonts / "DejaVuSans-Bold.ttf"))
        self.set_margin(_MARGIN_MM)
        self.set_auto_page_break(auto=True, margin=_MARGIN_MM)
        # The same month is the same file: dated by its own last moment, not by the clock.
        year, number = (int(part) for part in month.split("-"))
        ends = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
        self.set_creation_date(ends)
        self.set_title(f"{words['title']}, {month}")
        self.set_producer("qyran")

    def footer(self) -> None:
        self.set_y(-12)
        self.set_font(_FONT, size=8)
        self.set_text_color(110)
        self.cell(0, 6, f"Qyran, {self._month}. {self._words['page']} {self.page_no()}", align="R")


def report_pdf(report: MonthReport, language: Language = "en") -> bytes:
    """The report as a PDF; the same report gives the same bytes."""
    words = _WORDS[language]
    paper = _Paper(words, report.month)
    paper.add_page()
    _heading(paper, words["title"], 16)
    _heading(paper, f"{words['month']}: {report.month}", 11)
    summary = [
        line.model_copy(update={"key": words[name]})
        for name, line in (
            ("export", report.export), ("domestic", report.domestic), ("domestic_free", report.domestic_free),
            ("total", report.total),
        )
    ]  # fmt: skip
    _table(paper, words, words["summary"], summary)
    if not report.rows:
        _heading(paper, words["nothing"], 10)
    for name in ("by_class", "by_customer", "by_country", "by_region"):
        lines: tuple[Line, ...] = getattr(report, name)
        if lines:
            _table(paper, words, words[name], lines)
    return bytes(paper.output())


def _heading(paper: FPDF, text: str, size: int) -> None:
    paper.set_font(_FONT, "B", size)
    paper.set_text_color(*_DARK)
    paper.multi_cell(0, size * 0.55, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    paper.ln(2)


def _table(paper: FPDF, words: dict[str, str], title: str, lines: Sequence[Line]) -> None:
    paper.ln(3)
    _heading(paper, title, 11)
    paper.set_font(_FONT, size=8)
    paper.set_text_color(*_DARK)
    head = FontFace(emphasis="BOLD", fill_color=_GREY)
    with paper.table(
        col_widths=_WIDTHS, headings_style=head, borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        text_align=("LEFT", "RIGHT", "RIGHT", "RIGHT", "RIGHT", "RIGHT"), padding=1,
    ) as table:  # fmt: skip
        for cells in (
            [words[name] for name in ("name", "orders", "scenes", "km2", "gb", "amount")],
            *(_cells(line) for line in lines),
        ):
            row = table.row()
            for text in cells:
                row.cell(text)


def _cells(line: Line) -> list[str]:
    return [
        line.key, str(line.orders), str(line.scenes), grouped(line.km2, 2), grouped(line.gigabytes, 3),
        money(line.amounts),
    ]  # fmt: skip


def grouped(number: Decimal, digits: int) -> str:
    """A number with thin groups of thousands, as all three languages write it."""
    return f"{number:,.{digits}f}".replace(",", "\u00a0")


def money(amounts: dict[str, Decimal]) -> str:
    """Sums by currency."""
    return "; ".join(f"{grouped(amount, 2)} {currency}" for currency, amount in amounts.items()) or "0"

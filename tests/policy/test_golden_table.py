"""The decision table of ``golden_table.csv``: reviewed by eye, checked by rules written down a second time.

``python -m tests.policy.test_golden_table`` writes the file anew from :func:`by_hand`, never from the engine.
"""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import product
from pathlib import Path

import pytest
import shapely

from catalogs.policy.decide import decide
from catalogs.policy.load import load_policy, policy_file
from catalogs.policy.rules import Policy
from catalogs.policy.terms import Action, CustomerClass, Party, ProductFacts, Purpose, Spectral

TABLE = Path(__file__).with_name("golden_table.csv")
NOW = datetime(2026, 11, 1, tzinfo=UTC)
LICENCES = frozenset({"kz-domestic-1", "kz-export-eula-2"})
# Beside all areas; across the border of an excluded one; within a sensitive one.
PLACES = {"plain": (80.0, 50.0), "excluded": (69.85, 45.45), "sensitive": (72.0, 46.2)}
COLUMNS = ("gsd_m", "age_h", "area", "class", "order", "action", "effect", "gsd_floor_m", "approvals")
type Row = tuple[str, ...]


def questions() -> Iterator[tuple[str, ...]]:
    """Every combination that SECURITY's table speaks of, and those around its thresholds."""
    classes = [one.value for one in CustomerClass]
    yield from product(("0.5", "1.2", "1.3", "4.0", "6.5"), ("1", "130"), ("plain",), classes, ("paid",), ("download",))
    yield from product(("1.0", "4.0", "6.5"), ("1", "130", "744"), PLACES, classes, ("paid",), ("download", "preview"))
    yield from product(
        ("1.0", "6.5"), ("719", "720"), ("plain",), classes, ("unpaid",), ("download", "tile", "discover")
    )
    yield from product(("",), ("130",), ("plain",), classes, ("paid",), ("download", "preview"))
    yield from product(("1.0",), ("1",), PLACES, classes, ("disaster", "listed"), ("download", "preview"))


def by_hand(gsd: str, age: str, area: str, who: str, order: str, action: str) -> tuple[str, str, str]:
    """Effect, floor and approvals, from the policy's text alone; CE90 is 15 m and the instrument multispectral."""
    fine, hours, state, export = float(gsd or 0), float(age), who == "gov_domestic", who.startswith("export")
    pictures, taken = action in ("preview", "tile"), action == "download"
    if order == "listed" or (not gsd and not state):
        return "deny", "", ""
    sensitive = area == "sensitive" and fine <= 2.5 and not state
    if sensitive and pictures:
        return "deny", "", ""
    is_open = bool(gsd) and fine >= 5 and hours >= 720
    bought = taken and order == "paid" and (who == "domestic" or export)
    whole = state or is_open or bought or action == "discover" or (order == "disaster" and taken)
    if not whole and not pictures:
        return "deny", "", ""
    if sensitive and taken:
        return "hold", "", "2"
    if export and taken and fine <= 1.2 and hours < 120 and order != "disaster":
        return "delay", "", ""
    floor = "20" if not whole else ""
    return ("degrade" if floor or area == "excluded" else "allow"), floor, ""


@lru_cache(maxsize=1)
def policy() -> Policy:
    return load_policy(policy_file("kazakhstan-example", None))


def rows() -> list[Row]:
    return [tuple(row) for row in csv.reader(TABLE.read_text().splitlines())][1:]


def test_the_file_is_what_the_rules_by_hand_say():
    assert rows() == [(*asked, *by_hand(*asked)) for asked in dict.fromkeys(questions())]
    assert len(rows()) >= 200


@pytest.mark.parametrize("row", rows(), ids="-".join)
def test_the_engine_decides_as_the_table_says(row):
    gsd, age, area, who, order, action, effect, floor, approvals = row
    at = PLACES[area]
    facts = ProductFacts(
        collection="c", id="i", gsd_m=float(gsd) if gsd else None, acquired=NOW - timedelta(hours=float(age)),
        spectral=Spectral.MS, bands=4, ce90_m=15.0, footprint=shapely.box(*at, at[0] + 0.1, at[1] + 0.1),
    )  # fmt: skip
    party = Party(
        id="p", name="p", customer_class=CustomerClass(who), paid=order == "paid",
        licences=LICENCES if order == "paid" else frozenset(),
        legal_name="ТОО «Пример прикрытие»" if order == "listed" else None,
        purpose=Purpose.DISASTER if order == "disaster" else Purpose.ROUTINE,
    )  # fmt: skip
    found = decide(facts, Action(action), party, NOW, policy())
    assert found.effect == effect, found.reasons
    assert ("" if found.gsd_m is None else f"{found.gsd_m:g}") == (floor if effect == "degrade" else "")
    assert str(found.approvals or "") == approvals
    assert ("excluded" in found.masks) == (area == "excluded" and found.effect.value != "deny")
    if order == "listed":
        assert "audit:high" in found.obligations


def write() -> None:
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(COLUMNS)
    out.writerows((*asked, *by_hand(*asked)) for asked in dict.fromkeys(questions()))
    TABLE.write_text(text.getvalue())


if __name__ == "__main__":
    write()

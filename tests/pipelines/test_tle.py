"""Two-line elements: whatever SGP4's own exporter writes is read, and nothing that was altered on the way."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sgp4.api import WGS72, Satrec
from sgp4.exporter import export_tle

from configs.settings import Home
from pipelines.tle import age_warnings, checksum, installed_tle, nearest, parse_tle, read_tle
from processing.model.errors import BadInput
from processing.testing.orbit import KAZEOSAT_1, KAZEOSAT_2

ONE, TWO = (f"{each.name}\n{each.line1}\n{each.line2}\n" for each in (KAZEOSAT_1, KAZEOSAT_2))


@st.composite
def orbits(draw: st.DrawFn) -> Satrec:
    """Low orbits, from which SGP4's exporter makes two lines."""
    satellite = Satrec()
    radians = st.floats(0.001, 6.28)
    satellite.sgp4init(
        WGS72,
        "i",
        draw(st.integers(1, 339_999)),
        draw(st.floats(20_000.0, 32_000.0)),
        draw(st.integers(-10_000, 10_000)) * 1e-7,  # its exporter cannot write 1e-36
        0.0,
        0.0,
        draw(st.floats(0.0, 0.02)),
        draw(radians),
        draw(st.floats(0.01, 3.14)),
        draw(radians),
        draw(st.floats(0.03, 0.066)),
        draw(radians),
    )
    satellite.classification = "U"
    satellite.intldesg = "14024A"
    satellite.elnum = draw(st.integers(0, 9999))
    satellite.revnum = draw(st.integers(0, 99_999))
    return satellite


@given(orbits(), st.sampled_from(["", "KAZEOSAT 1\n", "0 KAZEOSAT 1\n"]), st.sampled_from(["\n", "\r\n", "   \n\n"]))
def test_what_sgp4_writes_is_read(satellite: Satrec, name: str, ending: str) -> None:
    line1, line2 = export_tle(satellite)
    (read,) = parse_tle(name + line1 + ending + line2 + ending, "test")
    assert read.norad_id == satellite.satnum
    assert read.revolution == satellite.revnum
    assert (read.line1, read.line2) == (line1, line2)
    assert read.name == ("KAZEOSAT 1" if name else f"NORAD {satellite.satnum}")
    written = datetime(1949, 12, 31, tzinfo=UTC) + timedelta(
        days=satellite.jdsatepoch + satellite.jdsatepochF - 2433281.5
    )
    assert abs((read.epoch - written).total_seconds()) < 0.01


@given(st.data())
def test_no_altered_digit_passes(data: st.DataObject) -> None:
    lines = [KAZEOSAT_1.line1, KAZEOSAT_1.line2]
    number = data.draw(st.integers(0, 1))
    column = data.draw(st.sampled_from([place for place, letter in enumerate(lines[number]) if letter.isdigit()]))
    other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != lines[number][column]]))
    lines[number] = lines[number][:column] + other + lines[number][column + 1 :]
    with pytest.raises(BadInput) as caught:
        parse_tle("\n".join(lines), "test")
    assert caught.value.kind.startswith("tle.")


def outcome(text: str) -> str:
    try:
        found = parse_tle(text, "test")
    except BadInput as error:
        return error.kind
    assert all(checksum(each.line1) == int(each.line1[68]) for each in found)
    return ",".join(str(each.norad_id) for each in found)


@given(st.text(max_size=300) | st.text(alphabet="12 0.-+U\n", max_size=300))
def test_any_text_is_refused_by_name(text: str) -> None:
    assert outcome(text).startswith("tle.")


@given(st.data())
def test_any_damage_to_a_real_file_is_read_or_refused(data: st.DataObject) -> None:
    text = ONE + TWO
    start = data.draw(st.integers(0, len(text)))
    cut = text[:start] + data.draw(st.text(max_size=8)) + text[start + data.draw(st.integers(0, 90)) :]
    told = outcome(cut)
    assert told.startswith("tle.") or set(told.split(",")) <= {"39731", "40010"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "tle.empty"),
        ("# nothing\n\n", "tle.empty"),
        (KAZEOSAT_1.line1, "tle.layout"),
        (f"{KAZEOSAT_1.line2}\n{KAZEOSAT_1.line1}", "tle.layout"),
        (f"{KAZEOSAT_1.line1}\n{KAZEOSAT_2.line2}", "tle.mismatch"),
        ("A\nB\n" + ONE, "tle.layout"),
        (ONE + "LAST", "tle.layout"),
        ("<html>not found</html>", "tle.layout"),
    ],
)
def test_what_is_wrong_is_told(text: str, kind: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_tle(text, "test")
    assert caught.value.kind == kind


def test_high_orbits_are_refused() -> None:
    line1 = "1 27509U 02040B   26114.50000000 -.00000000  00000-0  00000+0 0  999"
    line2 = "2 27509   6.6000  50.0000 0001000 200.0000 100.0000  1.0027000  8000"
    pair = [line + str(checksum(line + "0")) for line in (line1, line2)]
    pair[1] = "2 27509   6.6000  50.0000 0001000 200.0000 100.0000  1.00270000 8000"
    pair[1] += str(checksum(pair[1] + "0"))
    with pytest.raises(BadInput) as caught:
        parse_tle("\n".join(pair), "test")
    assert caught.value.kind == "tle.not_low_orbit"


def test_a_dropped_file_refreshes_what_is_used(tmp_path: Path) -> None:
    home, folder = Home(tmp_path), tmp_path / "auxiliary" / "tle"
    assert installed_tle(home) == ((), ())
    folder.mkdir(parents=True)
    (folder / "a.tle").write_text(ONE)
    (folder / "notes.md").write_text("not elements")
    (first,), warnings = installed_tle(home)
    assert not warnings
    satellite = Satrec.twoline2rv(KAZEOSAT_1.line1, KAZEOSAT_1.line2)
    satellite.jdsatepochF += 5
    satellite.epochdays += 5
    (folder / "b.txt").write_text("\n".join(export_tle(satellite)))
    found, _ = installed_tle(home)
    assert len(found) == 2
    newest = nearest(found, first.epoch + timedelta(days=30))[39731]
    assert newest.epoch - first.epoch == timedelta(days=5)
    assert nearest(found, first.epoch + timedelta(days=1))[39731] == first


def test_age_is_told_either_way() -> None:
    (first,) = parse_tle(ONE, "test")
    assert not list(age_warnings([first], first.epoch + timedelta(days=6.9), 7))
    (old,) = age_warnings([first], first.epoch + timedelta(days=8), 7)
    assert "8 days old" in old
    (ahead,) = age_warnings([first], first.epoch - timedelta(days=8), 7)
    assert "ahead" in ahead


@pytest.mark.realdata
def test_real_files(realdata: Path) -> None:
    found = read_tle(realdata / "tle" / "eo_sats_2026-04-24.tle")
    assert [each.norad_id for each in found] == [39731, 40010, 38012, 39019, 38755, 40053, 40013, 39150]
    (earlier,) = read_tle(realdata / "tle" / "kazeosat1_2016-09-29.tle")
    assert (earlier.norad_id, earlier.epoch.date().isoformat(), earlier.revolution) == (39731, "2016-09-29", 12736)

"""Control points in CSV: what is read is what was written, and what is unclear is refused with its line."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.model.errors import BadInput
from processing.readers.control_points import read_control_points

numbers = st.floats(-5000, 5000).map(lambda value: round(value, 6))
points = st.lists(
    st.tuples(st.floats(-180, 180), st.floats(-90, 90), numbers, numbers, numbers, st.text("abc ü\"',;-", max_size=8)),
    min_size=1,
    max_size=6,
)
OFFSETS = {"corner_zero": 0.0, "centre_zero": 0.5, "CENTER_ONE": -0.5}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(points, st.sampled_from(sorted(OFFSETS)), st.sampled_from(",;\t"), st.permutations(range(7)), st.booleans())
def test_what_was_written_is_read(
    tmp_path: Path,
    rows: list[tuple[float, float, float, float, float, str]],
    convention: str,
    delimiter: str,
    order: list[int],
    comma: bool,
) -> None:
    names = ["lon", "LAT", "height", " line", "sample", "name", "convention"]
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    writer.writerow([names[at] for at in order])
    for row in rows:
        cells = [str(value) for value in row] + [convention]
        if comma and delimiter == ";":
            cells[:5] = [cell.replace(".", ",") for cell in cells[:5]]
        writer.writerow([cells[at] for at in order])
    path = tmp_path / "points.csv"
    path.write_text("﻿# surveyed\n\n" + stream.getvalue(), encoding="utf-8")
    read = read_control_points(path)
    assert [(p.lon, p.lat, p.height, p.name) for p in read] == [(*row[:3], row[5].strip()) for row in rows]
    offset = OFFSETS[convention]
    assert [(p.line, p.sample) for p in read] == [(row[3] + offset, row[4] + offset) for row in rows]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.sampled_from(["a.csv", "a.geojson"]))
def test_any_bytes_are_points_or_refused_with_reason(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput) as refused:
        read_control_points(path)
    assert refused.value.kind.startswith("gcp.")


def test_row_and_col_count_as_geojson_does(tmp_path: Path) -> None:
    table, document = tmp_path / "p.csv", tmp_path / "p.geojson"
    table.write_text(
        "lon,lat,height,row,col,name,filename\n75.5,43.5,900,10,20,a,one.tif\n75.6,43.5,900,1,2,b,two.tif\n"
    )
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [75.5, 43.5, 900]},
        "properties": {"ji": [20, 10], "id": "a", "filename": "one.tif"},
    }
    document.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert read_control_points(table, "one.tif") == read_control_points(document, "one.tif")


def test_an_elevation_is_raised_by_its_geoid(tmp_path: Path) -> None:
    """Almaty: the EGM96 geoid lies 43.69 m under the ellipsoid (GeoidEval)."""
    path = tmp_path / "p.csv"
    path.write_text("lon;lat;elevation;datum;row;col\n76,95;43,25;800;EGM96;1;2\n")
    assert read_control_points(path)[0].height == pytest.approx(800 - 43.69, abs=0.3)


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("", "gcp.format", "empty"),
        ("lon,lat,height,line,sample\n1,2,3,4,5\n", "gcp.convention", "where they count from"),
        ("lon,lat,height,x,y,convention\n1,2,3,4,5,upside\n", "gcp.convention", "unknown convention"),
        ("lon,lat,elevation,row,col\n1,2,3,4,5\n", "gcp.datum", "measured from"),
        ("lon,lat,elevation,datum,row,col\n1,2,3,navd88,4,5\n", "gcp.datum", "navd88"),
        ("lon,lat,height,elevation,datum,row,col\n1,2,3,3,egm96,4,5\n", "gcp.format", "either height or elevation"),
        ("lon,lat,height,row\n1,2,3,4\n", "gcp.format", "sample"),
        ("lon,lat,height,row,col,x\n1,2,3,4,5,6\n", "gcp.format", "several columns"),
        ("lon,lat,height,row,col\n1,2,3,4,5\n1,2,3,4\n", "gcp.format", "line 3 has 4 cells"),
        ("lon,lat,height,row,col\n1,2,3,4,five\n", "gcp.format", "'five'"),
        ("lon,lat,height,row,col\n1,2,nan,4,5\n", "gcp.format", "'nan'"),
        ("lon,lat,height,row,col\n43,175,3,4,5\n", "gcp.format", "no place on Earth"),
    ],
)
def test_what_is_unclear_is_refused(tmp_path: Path, text: str, kind: str, words: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=words) as refused:
        read_control_points(path)
    assert refused.value.kind == kind
    assert refused.value.where is not None
    assert refused.value.where.startswith("p.csv")

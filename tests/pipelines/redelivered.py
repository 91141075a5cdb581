"""Deliveries of one scene as they may come one after another: near-real-time, final, in part, with a band missing."""

import re
import shutil
from pathlib import Path

from processing.testing import minimal
from tests.pipelines.small_delivery import write_delivery

PREDICTED, CORRECTED = ("PREDICTED", "ACCURATE"), ("CORRECTED", "ACCURATE")
"""What a delivery says that its orbit and attitude are from."""
_OFF_M = 30.0
"""A predicted orbit puts the scene so far to the east."""


def write_deliveries(folder: Path) -> dict[str, Path]:
    """Packages of one KazEOSat-1 scene, by what they are, and ``dem``, the folder of elevations beneath it."""
    whole = write_delivery(folder)
    found = {"dem": whole.dem, "unstated": whole.package}
    for name, sources in (("nrt", PREDICTED), ("between", ("", "ACCURATE")), ("final", CORRECTED)):
        found[name] = _stated(whole.package, folder / name, sources)
    found["ms"] = _stated(whole.package, folder / "ms", CORRECTED)
    shutil.rmtree(found["ms"] / "VOL_DZHR1_001" / "IMG_DZHR1_P_001")
    part = minimal.write_dimap_v2(folder / "half", lines=24).root
    found["part"] = _stated(part, folder / "part", CORRECTED)
    _edit(found["part"], "DIM_*.XML", "2018-04-29T07:05:43.9Z", "2018-04-29T07:05:40.9Z")
    found["other"] = _stated(whole.package, folder / "other", CORRECTED)
    _edit(found["other"], "DIM_*.XML", "<Dataset_Content>", "<Dataset_Content><CLOUD_COVERAGE>3</CLOUD_COVERAGE>")
    return found


def _stated(package: Path, folder: Path, sources: tuple[str, str]) -> Path:
    """A copy that says where its orbit and attitude are from; predicted ones are some pixels off."""
    copy = Path(shutil.copytree(package, folder / package.name))
    settings = (
        f"<Geometric_Settings><EPHEMERIS_USED>{sources[0]}</EPHEMERIS_USED>"
        f"<ATTITUDES_USED>{sources[1]}</ATTITUDES_USED></Geometric_Settings></Product_Settings>"
    )
    _edit(copy, "DIM_*.XML", "</Product_Settings>", settings)
    if sources == PREDICTED:
        for path in copy.rglob("RPC_*.XML"):
            path.write_text(re.sub(r"(?<=<LON_OFF>)[^<]+", _moved, path.read_text()))
    return copy


def _moved(lon: re.Match[str]) -> str:
    return repr(float(lon[0]) + _OFF_M / minimal.METRES_PER_DEGREE)


def _edit(package: Path, names: str, was: str, now: str) -> None:
    for path in package.rglob(names):
        text = path.read_text()
        assert was in text
        path.write_text(text.replace(was, now))

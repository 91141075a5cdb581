"""RPCs as other programs read them: ``_RPC.TXT``, ``.rpb`` and GDAL's tags.

All three count lines and samples from 0 at the centre of the first pixel (RPC00B), half a pixel from Qyran's own
convention. Numbers are written so that they are read back bit for bit.
"""

from processing.geometry.rpc import Rpc
from processing.model.sensor_model import PixelConvention

_AXES = ("line", "sample", "lat", "lon", "height")
_POLYNOMIALS = ("line_num", "line_den", "sample_num", "sample_den")
_SHORT = {"line": "LINE", "sample": "SAMP", "lat": "LAT", "lon": "LONG", "height": "HEIGHT"}
_UNITS = {"line": "pixels", "sample": "pixels", "lat": "degrees", "lon": "degrees", "height": "meters"}
_RPB = {"line": "line", "sample": "samp", "lat": "lat", "lon": "long", "height": "height"}


def rpc_tags(rpc: Rpc) -> dict[str, str]:
    """GDAL's RPC metadata: what a GeoTIFF, or rasterio's ``RPC.from_gdal``, takes."""
    tags = {name: _number(value) for name, value in _errors(rpc)}
    for axis in _AXES:
        tags[f"{_SHORT[axis]}_OFF"] = _number(_offset(rpc, axis))
        tags[f"{_SHORT[axis]}_SCALE"] = _number(getattr(rpc, f"{axis}_scale"))
    for name in _POLYNOMIALS:
        tags[_gdal_name(name)] = " ".join(_number(value) for value in getattr(rpc, name))
    return tags


def rpc_txt(rpc: Rpc) -> str:
    """The text of an ``_RPC.TXT`` file (Space Imaging, read by GDAL, OTB, ERDAS, ENVI)."""
    lines = [f"{name}: {_number(value)} meters" for name, value in _errors(rpc)]
    lines += [
        f"{_SHORT[axis]}_{part}: {_number(value)} {_UNITS[axis]}"
        for part, of in (("OFF", _offset), ("SCALE", _scale))
        for axis in _AXES
        for value in [of(rpc, axis)]
    ]
    for name in _POLYNOMIALS:
        lines += [f"{_gdal_name(name)}_{at}: {_number(value)}" for at, value in enumerate(getattr(rpc, name), start=1)]
    return "\n".join(lines) + "\n"


def rpb_text(rpc: Rpc) -> str:
    """The text of an ``.rpb`` file (DigitalGlobe)."""
    figures = [("errBias", rpc.err_bias or 0.0), ("errRand", rpc.err_rand or 0.0)]
    figures += [(f"{_RPB[axis]}Offset", _offset(rpc, axis)) for axis in _AXES]
    figures += [(f"{_RPB[axis]}Scale", _scale(rpc, axis)) for axis in _AXES]
    lines = ['satId = "QYRAN";', 'bandId = "N";', 'SpecId = "RPC00B";', "BEGIN_GROUP = IMAGE"]
    lines += [f"\t{name} = {_number(value)};" for name, value in figures]
    for name in _POLYNOMIALS:
        axis, part = name.split("_")
        terms = ",\n".join(f"\t\t\t{_number(value)}" for value in getattr(rpc, name))
        lines.append(f"\t{_RPB[axis]}{part.capitalize()}Coef = (\n{terms});")
    return "\n".join([*lines, "END_GROUP = IMAGE", "END;"]) + "\n"


def _errors(rpc: Rpc) -> list[tuple[str, float]]:
    """Those of the stated errors that are stated."""
    stated = (("ERR_BIAS", rpc.err_bias), ("ERR_RAND", rpc.err_rand))
    return [(name, value) for name, value in stated if value is not None]


def _gdal_name(polynomial: str) -> str:
    return f"{polynomial.upper().replace('SAMPLE', 'SAMP')}_COEFF"


def _number(value: float) -> str:
    """The shortest text that is read back as the same number."""
    return repr(float(value))


def _scale(rpc: Rpc, axis: str) -> float:
    return float(getattr(rpc, f"{axis}_scale"))


def _offset(rpc: Rpc, axis: str) -> float:
    offset = float(getattr(rpc, f"{axis}_off"))
    return offset - PixelConvention.CENTRE_ZERO.value if axis in ("line", "sample") else offset

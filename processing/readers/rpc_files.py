"""RPC files in the dialects of the trade, each with the pixel convention its producer counts by."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processing.geometry.guards import Domain
from processing.geometry.rpc import Rpc
from processing.geometry.rpc_direct import DirectRpc
from processing.model.errors import BadInput
from processing.model.sensor_model import PixelConvention
from processing.readers.dimap_xml import MAX_BYTES, XmlNode, read_xml
from processing.readers.rpc_statements import direct_model, image_domain

SUPPORTED = (
    "DIMAP v2 (Pleiades, SPOT 6/7), DIMAP v3 (Pleiades Neo), Rpc_Document (PeruSat-1, KazEOSat-1), WorldView ISD XML, "
    ".RPB, _RPC.TXT (IKONOS, GeoEye, Planet, SkySat), rpcm JSON, and RPC tags of TIFF files"
)

_GROUND = {"LAT": (2, 4, 6, 10, 14, 15, 16), "LONG": (1, 4, 5, 10, 11, 12, 13), "HEIGHT": (3, 5, 6, 10, 17, 18, 19)}
"""RPC00B terms (from 0) that change sign when one ground axis does: those with an odd power of it."""
_AXES = ("LINE", "SAMP", "LAT", "LONG", "HEIGHT")
_POLYNOMIALS = ("LINE_NUM", "LINE_DEN", "SAMP_NUM", "SAMP_DEN")


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcDocument:
    """An RPC file, understood."""

    rpc: Rpc
    dialect: str
    """Name of the dialect, e.g. ``dimap-v2``."""
    profile: str = ""
    """METADATA_PROFILE or satellite id the file states."""
    document: XmlNode | None = None
    """The whole XML, for dialects whose file also describes the image."""
    direct: DirectRpc | None = None
    """The producer's own inverse, for dialects that state it."""
    domain: Domain | None = None
    """The image that the producer made the RPC for, where it says so."""


def read_rpc(path: Path) -> Rpc:
    """The sensor model of an RPC file, in Qyran's pixel convention.

    Raises
    ------
    BadInput
        ``rpc.unsupported`` for a file in no known dialect; ``rpc.missing`` when a figure is absent, ``rpc.number``
        when it is not a number, ``rpc.nonfinite``, ``rpc.scale``; and the kinds of :func:`read_xml`.
    """
    return read_rpc_document(path).rpc


def read_rpc_document(path: Path) -> RpcDocument:
    """As :func:`read_rpc`, with the dialect and what else the file says.

    Raises
    ------
    BadInput
        As :func:`read_rpc`.
    """
    if path.stat().st_size > MAX_BYTES:
        raise BadInput(f"'{path.name}' is too large for an RPC file", kind="rpc.unsupported", where=path.name)
    with path.open("rb") as file:
        head = file.read(512).lstrip(b"\xef\xbb\xbf").lstrip()
    if head.startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
        return _xml_document(read_xml(path))
    text = path.read_text(encoding="utf-8", errors="replace")
    if head.startswith(b"{"):
        return RpcDocument(rpc=_json_rpc(text, path.name), dialect="rpcm-json")
    if "lineNumCoef" in text:
        return RpcDocument(rpc=_rpb_rpc(text, path.name), dialect="rpb")
    if "LINE_NUM_COEFF_1" in text:
        values = dict(re.findall(r"^\s*([A-Z_]+(?:_\d+)?)\s*[:=]\s*(\S+)", text, flags=re.MULTILINE))
        return RpcDocument(rpc=_build(values, PixelConvention.CENTRE_ZERO, path.name), dialect="rpc-txt")
    raise _unsupported(path.name, "a file without RPC figures")


def rpc_from_tags(tags: Mapping[str, str], where: str = "RPC tags") -> Rpc:
    """The sensor model of a TIFF's RPC tags, as GDAL names them (``LINE_NUM_COEFF`` of 20 numbers, ...).

    Raises
    ------
    BadInput
        ``rpc.missing``, ``rpc.number``, ``rpc.nonfinite``, ``rpc.scale``.
    """
    values = {key: text for key, text in tags.items() if not key.endswith("_COEFF")}
    for name in _POLYNOMIALS:
        values |= _numbered(name, tags.get(f"{name}_COEFF", "").split())
    return _build(values, PixelConvention.CENTRE_ZERO, where)


def _unsupported(name: str, what: str) -> BadInput:
    return BadInput(
        f"'{name}' is {what}, not an RPC file of a known dialect",
        kind="rpc.unsupported",
        where=name,
        remedy=f"Supported: {SUPPORTED}.",
    )


def _numbered(name: str, coefficients: list[str]) -> dict[str, str]:
    return {f"{name}_COEFF_{index}": text for index, text in enumerate(coefficients, start=1)}


def _xml_document(root: XmlNode) -> RpcDocument:
    readers: dict[str, Callable[[XmlNode], RpcDocument]] = {
        "Dimap_Document": _dimap_document,
        "Rpc_Document": _rpc_document,
        "isd": _isd_document,
    }
    reader = readers.get(root.tag)
    if reader is None:
        kinds = {"VRTDataset": "a GDAL virtual raster (VRT)", "PAMDataset": "a GDAL auxiliary file (.aux.xml)"}
        raise _unsupported(root.file, kinds.get(root.tag, f"XML of kind <{root.tag}>"))
    return reader(root)


def _dimap_document(root: XmlNode) -> RpcDocument:
    """DIMAP v2 counts pixels from (1, 1) at the first centre; v3 (Pleiades Neo) from (0, 0)."""
    model = root.find("Rational_Function_Model/Global_RFM")
    if model is None:
        raise _unsupported(root.file, "a DIMAP document without Rational_Function_Model/Global_RFM")
    inverse, convention, dialect = model.find("Inverse_Model"), PixelConvention.CENTRE_ONE, "dimap-v2"
    if inverse is None:
        inverse = model.need("GroundtoImage_Values")
        convention, dialect = PixelConvention.CENTRE_ZERO, "dimap-v3"
    validity = model.need("RFM_Validity")
    rpc = _build(_leaves(inverse) | _leaves(validity), convention, root.file)
    return RpcDocument(
        rpc=rpc,
        dialect=dialect,
        profile=root.maybe("Metadata_Identification/METADATA_PROFILE") or "",
        document=root,
        direct=direct_model(model, rpc),
        domain=image_domain(validity, convention),
    )


def _rpc_document(root: XmlNode) -> RpcDocument:
    """The PeruSat family writes COL and ROW, and LON for LONG."""
    inverse = next((root.find(path) for path in _INVERSE_PATHS if root.find(path) is not None), None)
    validity = next((root.find(path) for path in _VALIDITY_PATHS if root.find(path) is not None), None)
    if inverse is None or validity is None:
        raise _unsupported(root.file, "an Rpc_Document without Inverse_Model and Validity")
    names = (("COL_", "SAMP_"), ("ROW_", "LINE_"), ("LON_", "LONG_"))
    values = {}
    for key, text in (_leaves(inverse) | _leaves(validity)).items():
        renamed = next((new + key[len(old) :] for old, new in names if key.startswith(old)), key)
        values[renamed] = text
    return RpcDocument(
        rpc=_build(values, PixelConvention.CENTRE_ONE, root.file),
        dialect="rpc-document",
        profile=root.maybe("Metadata_Identification/METADATA_PROFILE") or "",
        document=root,
        domain=image_domain(validity, PixelConvention.CENTRE_ONE),
    )


_INVERSE_PATHS = ("Inverse_Model", ".//Inverse_Model")
_VALIDITY_PATHS = ("Validity", ".//RFM_Validity", ".//Validity")


def _isd_document(root: XmlNode) -> RpcDocument:
    image = root.find("RPB/IMAGE")
    if image is None:
        raise _unsupported(root.file, "a WorldView ISD without RPB")
    names = {"LINEOFFSET": "LINE_OFF", "SAMPOFFSET": "SAMP_OFF", "LATOFFSET": "LAT_OFF", "LONGOFFSET": "LONG_OFF"}
    names |= {"HEIGHTOFFSET": "HEIGHT_OFF", "ERRBIAS": "ERR_BIAS", "ERRRAND": "ERR_RAND"}
    names |= {f"{axis}SCALE": f"{axis}_SCALE" for axis in _AXES}
    values = {names[key]: text for key, text in _leaves(image).items() if key in names}
    for name in _POLYNOMIALS:
        tag = name.replace("_", "") + "COEF"
        values |= _numbered(name, (image.maybe(f"{tag}List/{tag}") or "").split())
    return RpcDocument(
        rpc=_build(values, PixelConvention.CENTRE_ZERO, root.file),
        dialect="worldview-isd",
        profile=root.maybe("RPB/SATID") or "",
        document=root,
    )


def _rpb_rpc(text: str, name: str) -> Rpc:
    names = {"lineOffset": "LINE_OFF", "sampOffset": "SAMP_OFF", "latOffset": "LAT_OFF", "longOffset": "LONG_OFF"}
    names |= {"heightOffset": "HEIGHT_OFF", "errBias": "ERR_BIAS", "errRand": "ERR_RAND"}
    names |= {f"{axis.lower()}Scale": f"{axis}_SCALE" for axis in _AXES}
    found = dict(re.findall(r"^\s*(\w+)\s*=\s*([^\s;(]+)\s*;", text, flags=re.MULTILINE))
    values = {names[key]: value for key, value in found.items() if key in names}
    for polynomial in _POLYNOMIALS:
        axis, part = polynomial.lower().split("_")
        match = re.search(rf"{axis}{part.capitalize()}Coef\s*=\s*\(([^)]*)\)", text)
        values |= _numbered(polynomial, re.split(r"[,\s]+", match[1].strip()) if match else [])
    return _build(values, PixelConvention.CENTRE_ZERO, name)


def _json_rpc(text: str, name: str) -> Rpc:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unsupported(name, "JSON that cannot be read") from error
    rpc = found.get("rpc", found) if isinstance(found, dict) else None
    if not isinstance(rpc, dict) or "row_num" not in rpc:
        raise _unsupported(name, "JSON without an rpc object")
    axes = {"LINE": "row", "SAMP": "col", "LAT": "lat", "LONG": "lon", "HEIGHT": "alt"}
    values: dict[str, Any] = {f"{axis}_OFF": rpc.get(f"{key}_offset") for axis, key in axes.items()}
    values |= {f"{axis}_SCALE": rpc.get(f"{key}_scale") for axis, key in axes.items()}
    for polynomial in _POLYNOMIALS:
        axis, part = polynomial.split("_")
        values |= _numbered(polynomial, rpc.get(f"{axes[axis]}_{part.lower()}", []))
    return _build({key: str(value) for key, value in values.items()}, PixelConvention.CENTRE_ZERO, name)


def _leaves(node: XmlNode) -> dict[str, str]:
    """Texts of an element's own children, by tag."""
    return {child.tag: (child.text or "").strip() for child in node.element}


def _build(values: Mapping[str, str], convention: PixelConvention, where: str) -> Rpc:
    """An RPC from figures under their _RPC.TXT names."""
    scales = {axis: _figure(values, f"{axis}_SCALE", where) for axis in _AXES}
    terms = {name: [_figure(values, f"{name}_COEFF_{index}", where) for index in range(1, 21)] for name in _POLYNOMIALS}
    if scales["LINE"] <= 0 or scales["SAMP"] <= 0 or 0 in scales.values():
        raise BadInput(
            f"'{where}' states RPC scales that are zero or negative: {scales}",
            kind="rpc.scale",
            where=where,
            remedy="Use another RPC of this image, or ask the provider.",
        )
    for axis, odd in _GROUND.items():
        # Planet delivers negative latitude scales: -x / -s is x / s once the odd terms change sign too.
        if scales[axis] < 0:
            scales[axis] = -scales[axis]
            for polynomial in terms.values():
                for index in odd:
                    polynomial[index] = -polynomial[index]
    err_bias, err_rand = (_figure(values, key, where) if values.get(key) else None for key in ("ERR_BIAS", "ERR_RAND"))
    return Rpc.from_delivered(
        convention=convention,
        line_off=_figure(values, "LINE_OFF", where),
        sample_off=_figure(values, "SAMP_OFF", where),
        lat_off=_figure(values, "LAT_OFF", where),
        lon_off=_figure(values, "LONG_OFF", where),
        height_off=_figure(values, "HEIGHT_OFF", where),
        line_scale=scales["LINE"],
        sample_scale=scales["SAMP"],
        lat_scale=scales["LAT"],
        lon_scale=scales["LONG"],
        height_scale=scales["HEIGHT"],
        line_num=tuple(terms["LINE_NUM"]),
        line_den=tuple(terms["LINE_DEN"]),
        sample_num=tuple(terms["SAMP_NUM"]),
        sample_den=tuple(terms["SAMP_DEN"]),
        err_bias=err_bias if err_bias is not None and err_bias >= 0 else None,
        err_rand=err_rand if err_rand is not None and err_rand >= 0 else None,
    )


def _figure(values: Mapping[str, str], key: str, where: str) -> float:
    text = values.get(key)
    if text is None or not text.strip():
        raise BadInput(f"'{where}' lacks the RPC figure {key}", kind="rpc.missing", where=where)
    try:
        # A unit may follow the number: "+005124.00 pixels".
        value = float(text.split()[0])
    except ValueError as error:
        raise BadInput(
            f"'{where}' states {text[:40]!r} for the RPC figure {key}", kind="rpc.number", where=where
        ) from error
    if not math.isfinite(value):
        raise BadInput(
            f"'{where}' states {value} for the RPC figure {key}",
            kind="rpc.nonfinite",
            where=where,
            remedy="Use another RPC of this image, or ask the provider.",
        )
    return value

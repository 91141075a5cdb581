"""Elements of ISO 19139 documents (namespace gmd), and how they are written."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree as ET  # written here, never parsed

type Element = ET.Element
type Child = Element | str | None

SCHEMAS = "http://www.isotc211.org/2005"
_NAMESPACES = {
    "gmd": f"{SCHEMAS}/gmd",
    "gco": f"{SCHEMAS}/gco",
    "gml": "http://www.opengis.net/gml/3.2",
    "xlink": "http://www.w3.org/1999/xlink",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
_CODES = f"{SCHEMAS}/resources/Codelist/gmxCodelists.xml"
# What XML 1.0 cannot hold: an identifier of a delivery may.
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LOCALE = "locale-"


def node(name: str, *children: Child, attributes: Mapping[str, str] | None = None) -> Element:
    """An element by its prefixed name: ``gmd:contact``. A text among its children is its text; None is left out."""
    element = ET.Element(_qualified(name), {_qualified(key): value for key, value in (attributes or {}).items()})
    for child in children:
        if isinstance(child, str):
            element.text = _IMPOSSIBLE.sub("\ufffd", child)
        elif child is not None:
            element.append(child)
    return element


def path(names: str, *children: Child) -> Element:
    """Elements inside each other, ``gmd:date/gmd:CI_Date``, the innermost with children."""
    *outer, inner = names.split("/")
    element = node(inner, *children)
    for name in reversed(outer):
        element = node(name, element)
    return element


def text(names: str, value: object, kind: str = "CharacterString") -> Element:
    """A property with a value of a basic type (``gco``)."""
    return path(f"{names}/gco:{kind}", str(value))


def measure(name: str, value: float, unit: str, kind: str = "Distance") -> Element:
    """A length or other measure with its unit."""
    return node(name, node(f"gco:{kind}", f"{value:.12g}", attributes={"uom": unit}))


def code(names: str, code_list: str, value: str) -> Element:
    """A word of one of the standard's lists."""
    word = node(f"gmd:{code_list}", value, attributes={"codeList": f"{_CODES}#{code_list}", "codeListValue": value})
    return path(names, word)


def free_text(name: str, texts: Mapping[str, str], main: str) -> Element:
    """A text in several languages: by the locales that :func:`locale` declares."""
    groups = [
        path(
            "gmd:textGroup",
            node("gmd:LocalisedCharacterString", words, attributes={"locale": f"#{_LOCALE}{language}"}),
        )
        for language, words in texts.items()
        if language != main
    ]
    return node(
        name,
        node("gco:CharacterString", texts[main]),
        node("gmd:PT_FreeText", *groups),
        attributes={"xsi:type": "gmd:PT_FreeText_PropertyType"},
    )


def locale(language: str, three_letters: str) -> Element:
    """Declares a language that texts are given in."""
    return node(
        "gmd:locale",
        node(
            "gmd:PT_Locale",
            code("gmd:languageCode", "LanguageCode", three_letters),
            code("gmd:characterEncoding", "MD_CharacterSetCode", "utf8"),
            attributes={"id": f"{_LOCALE}{language}"},
        ),
    )


def polygons(geometry: Mapping[str, Any]) -> Iterator[Element]:
    """A GeoJSON Polygon or MultiPolygon in GML, latitude before longitude as EPSG:4326 has it."""
    parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    for number, rings in enumerate(parts, 1):
        kinds = ["gml:exterior", *["gml:interior"] * (len(rings) - 1)]
        linear = [
            path(f"{kind}/gml:LinearRing/gml:posList", " ".join(f"{lat:.9g} {lon:.9g}" for lon, lat, *_ in ring))
            for kind, ring in zip(kinds, rings, strict=True)
        ]
        attributes = {"gml:id": f"footprint-{number}", "srsName": "urn:ogc:def:crs:EPSG::4326"}
        yield node("gmd:polygon", node("gml:Polygon", *linear, attributes=attributes))


def written(document: Element) -> bytes:
    """The bytes of a document: the same for the same elements."""
    for prefix, namespace in _NAMESPACES.items():
        ET.register_namespace(prefix, namespace)
    # A type's name in an attribute needs its prefix declared; it is, for the root is of it.
    ET.indent(document, " ")
    content: bytes = ET.tostring(document, encoding="UTF-8", xml_declaration=True)
    return content + b"\n"


def _qualified(name: str) -> str:
    prefix, colon, local = name.partition(":")
    return f"{{{_NAMESPACES[prefix]}}}{local}" if colon else name

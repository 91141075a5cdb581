"""Documents that lead to tiles: TileJSON for web maps, WMTS for desktop GIS, a list for the portal."""

from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

from catalogs.api.tiles_layers import MAX_ZOOM, Layer, Shown, native_zoom, plain_extent

_OVERZOOM = 2
"""Levels beyond the image's own, for those who look at single pixels."""
_WMTS, _OWS = "http://www.opengis.net/wmts/1.0", "http://www.opengis.net/ows/1.1"
_XLINK = "http://www.w3.org/1999/xlink"
_EDGE_M = 20_037_508.342789244
_SCALE_AT_ZERO = 559_082_264.028_717_8
"""Denominator of the scale at zoom 0, pixels of 0.28 mm."""
_MATRICES = "WebMercatorQuad"


def layers(here: str, found: Shown) -> dict[str, Any]:
    """What of an item can be looked at."""
    return {
        "collection": found.item["collection"],
        "id": found.item["id"],
        "wmts": f"{here}/WMTSCapabilities.xml",
        "preview": f"{here}/preview.webp",
        "point": f"{here}/point?lon={{lon}}&lat={{lat}}",
        "layers": [
            {
                "name": name,
                "title": _title(found, name),
                "kind": "preset" if name in found.presets else "asset",
                "tilejson": f"{here}/{_part(name)}/tilejson.json",
                "preview": f"{here}/{_part(name)}/preview.webp",
            }
            | ({"statistics": f"{here}/{_part(name)}/statistics"} if name in (*found.data, *found.flags) else {})
            for name in found.names
        ],
    }


def tilejson(here: str, found: Shown, layer: Layer, kind: str) -> dict[str, Any]:
    """TileJSON 3.0 of a layer. There are tiles at every zoom; ``maxzoom`` is where pixels are the image's own."""
    west, south, east, north = plain_extent(found.item)
    top = native_zoom(found.item, found.assets, tuple(source.key for source in layer.sources), found.reduced.gsd_m)
    return {
        "tilejson": "3.0.0",
        "name": layer.name,
        "description": f"{layer.title}, {found.item['id']}",
        "version": "1.0.0",
        "scheme": "xyz",
        "tiles": [f"{here}/{_part(layer.name)}/{{z}}/{{x}}/{{y}}.{kind}"],
        "minzoom": 0,
        "maxzoom": top,
        "bounds": [west, south, east, north],
        "center": [(west + east) / 2, (south + north) / 2, max(top - 3, 0)],
    }


def wmts(here: str, found: Shown) -> bytes:
    """WMTS 1.0.0 capabilities of all layers of an item, its tiles by address alone (REST)."""
    for prefix, name in (("", _WMTS), ("ows", _OWS), ("xlink", _XLINK)):
        register_namespace(prefix, name)
    root = Element(f"{{{_WMTS}}}Capabilities", version="1.0.0")
    service = SubElement(root, f"{{{_OWS}}}ServiceIdentification")
    _text(service, _OWS, "Title", str(found.item["properties"].get("title", found.item["id"])))
    _text(service, _OWS, "ServiceType", "OGC WMTS")
    _text(service, _OWS, "ServiceTypeVersion", "1.0.0")
    contents = SubElement(root, f"{{{_WMTS}}}Contents")
    for name in found.names:
        _add_layer(contents, here, found, name)
    keys = (*found.data, *found.flags)
    _add_matrices(contents, min(native_zoom(found.item, found.assets, keys, found.reduced.gsd_m) + _OVERZOOM, MAX_ZOOM))
    SubElement(root, f"{{{_WMTS}}}ServiceMetadataURL", {f"{{{_XLINK}}}href": f"{here}/WMTSCapabilities.xml"})
    document: bytes = tostring(root, encoding="UTF-8", xml_declaration=True)
    return document


def _add_layer(contents: Element, here: str, found: Shown, name: str) -> None:
    west, south, east, north = plain_extent(found.item)
    layer = SubElement(contents, f"{{{_WMTS}}}Layer")
    _text(layer, _OWS, "Title", _title(found, name))
    box = SubElement(layer, f"{{{_OWS}}}WGS84BoundingBox")
    _text(box, _OWS, "LowerCorner", f"{west} {south}")
    _text(box, _OWS, "UpperCorner", f"{east} {north}")
    _text(layer, _OWS, "Identifier", name)
    style = SubElement(layer, f"{{{_WMTS}}}Style", isDefault="true")
    _text(style, _OWS, "Identifier", "default")
    _text(layer, _WMTS, "Format", "image/png")
    link = SubElement(layer, f"{{{_WMTS}}}TileMatrixSetLink")
    _text(link, _WMTS, "TileMatrixSet", _MATRICES)
    template = f"{here}/{_part(name)}/{{TileMatrix}}/{{TileCol}}/{{TileRow}}.png"
    SubElement(layer, f"{{{_WMTS}}}ResourceURL", {"format": "image/png", "resourceType": "tile", "template": template})


def _add_matrices(contents: Element, top: int) -> None:
    matrices = SubElement(contents, f"{{{_WMTS}}}TileMatrixSet")
    _text(matrices, _OWS, "Identifier", _MATRICES)
    _text(matrices, _OWS, "SupportedCRS", "urn:ogc:def:crs:EPSG::3857")
    _text(matrices, _WMTS, "WellKnownScaleSet", "urn:ogc:def:wkss:OGC:1.0:GoogleMapsCompatible")
    for zoom in range(top + 1):
        matrix = SubElement(matrices, f"{{{_WMTS}}}TileMatrix")
        _text(matrix, _OWS, "Identifier", str(zoom))
        _text(matrix, _WMTS, "ScaleDenominator", repr(_SCALE_AT_ZERO / 2**zoom))
        _text(matrix, _WMTS, "TopLeftCorner", f"{-_EDGE_M} {_EDGE_M}")
        for side in ("TileWidth", "TileHeight"):
            _text(matrix, _WMTS, side, "256")
        for side in ("MatrixWidth", "MatrixHeight"):
            _text(matrix, _WMTS, side, str(2**zoom))


def _text(parent: Element, space: str, name: str, text: str) -> None:
    SubElement(parent, f"{{{space}}}{name}").text = "".join(sign for sign in text if sign >= " ")


def _title(found: Shown, name: str) -> str:
    described = found.presets.get(name) or found.assets[name]
    return str(described.get("title", name))


def _part(text: str) -> str:
    return quote(text, safe="")

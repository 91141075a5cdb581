"""Quality masks in GML: polygons in image coordinates, columns and rows counted from 1 at pixel centres."""

from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from processing.model.sensor_model import PixelConvention
from processing.testing.exposure import Exposure, Polygon

_KINDS = (
    ("CLD", "Cloud", "CLOUD"),
    ("SNW", "Snow", "SNOW"),
    ("ROI", "RegionOfInterest", "SOURCE_IMAGE_FOOTPRINT"),
    ("DET", "Outoforderdetectors", "DETECTOR"),
    ("QTE", "QT", "QUALITY"),
    ("VIS", "Visibility", "VISIBILITY"),
    ("SLT", "OverIllumination", "STRAYLIGHT"),
)
_SPACES = (
    'xmlns:gml="http://www.opengis.net/gml" xmlns:hma="http://earth.esa.int/hma" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
_IMAGE_CRS = "urn:ogc:def:derivedCRSType:OGC:1.0:image"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFile:
    """One mask for the product document's list."""

    title: str
    code: str
    href: str


def write_masks(folder: Path, name: str, dataset: str, exposure: Exposure) -> tuple[MaskFile, ...]:
    """Write the seven masks of an image; those without findings are valid and empty."""
    folder.mkdir()
    lines, samples = exposure.shape
    frame: Polygon = ((0.0, 0.0), (float(samples), 0.0), (float(samples), float(lines)), (0.0, float(lines)))
    polygons = {"CLD": exposure.clouds, "SNW": exposure.snow, "ROI": (frame,)}
    written = []
    for code, title, kind in _KINDS:
        path = folder / f"{code}_{name}_MSK.GML"
        text = _mask(dataset, f"{title} mask", kind, exposure.shape, polygons.get(code, ()))
        path.write_text(text, encoding="utf-8")
        written.append(MaskFile(title=title, code=code, href=f"MASKS/{path.name}"))
    return tuple(written)


def _mask(dataset: str, title: str, kind: str, shape: tuple[int, int], polygons: tuple[Polygon, ...]) -> str:
    features = "\n".join(
        _feature(f"{kind.lower()}-{number}-{dataset}", kind, polygon) for number, polygon in enumerate(polygons)
    )
    members = f"<hma:maskMembers>\n{features}\n  </hma:maskMembers>" if polygons else "<hma:maskMembers/>"
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no" ?>
<hma:Mask gml:id={quoteattr(f"{dataset}_{kind.lower()}_msk")} {_SPACES}>
  <gml:name>{escape(title)} from data-strip {escape(dataset)}</gml:name>
  <gml:boundedBy>
    <gml:Envelope srsName="{_IMAGE_CRS}">
      <gml:lowerCorner>1 1</gml:lowerCorner>
      <gml:upperCorner>{shape[1]} {shape[0]}</gml:upperCorner>
    </gml:Envelope>
  </gml:boundedBy>
  {members}
</hma:Mask>
"""


def _feature(identifier: str, kind: str, ring: Polygon) -> str:
    shift = PixelConvention.CENTRE_ONE.value
    closed = (*ring, ring[0])
    positions = " ".join(f"{sample - shift:.1f} {line - shift:.1f}" for sample, line in closed)
    return f"""    <hma:MaskFeature gml:id={quoteattr(identifier)}>
      <hma:maskType codeSpace="urn:kz1:ipu:maskType">{kind}</hma:maskType>
      <gml:extentOf>
        <gml:Polygon srsName="{_IMAGE_CRS}">
          <gml:exterior>
            <gml:LinearRing>
              <gml:posList>{positions}</gml:posList>
            </gml:LinearRing>
          </gml:exterior>
        </gml:Polygon>
      </gml:extentOf>
    </hma:MaskFeature>"""

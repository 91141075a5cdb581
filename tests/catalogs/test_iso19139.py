"""ISO 19139 documents, read back by OWSLib, which knows nothing of how they were written."""

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest
from lxml import etree
from owslib.iso import MD_Metadata
from shapely.geometry import Polygon, shape

from catalogs.iso19139 import iso_document
from processing.model.product import Product

GMD, GCO = "{http://www.isotc211.org/2005/gmd}", "{http://www.isotc211.org/2005/gco}"
GML = "{http://www.opengis.net/gml/3.2}"
# The children of MD_Metadata that are used here, in the order that the standard's schema (metadataEntity.xsd) demands.
ORDER = [
    "fileIdentifier", "language", "characterSet", "parentIdentifier", "hierarchyLevel", "contact", "dateStamp",
    "metadataStandardName", "metadataStandardVersion", "locale", "spatialRepresentationInfo", "referenceSystemInfo",
    "identificationInfo", "contentInfo", "distributionInfo", "dataQualityInfo",
]  # fmt: skip
NEEDED = {"contact", "dateStamp", "identificationInfo"}
PARTS = {
    "MD_DataIdentification": [
        "citation", "abstract", "status", "pointOfContact", "descriptiveKeywords", "resourceConstraints",
        "spatialRepresentationType", "spatialResolution", "language", "topicCategory", "extent",
    ],
    "CI_Citation": ["title", "alternateTitle", "date", "edition", "identifier"],
    "CI_ResponsibleParty": ["organisationName", "contactInfo", "role"],
    "MD_ImageDescription": [
        "attributeDescription", "contentType", "dimension", "illuminationElevationAngle", "illuminationAzimuthAngle",
        "processingLevelCode",
    ],
    "MD_Band": ["sequenceIdentifier", "descriptor", "units", "peakResponse", "scaleFactor", "offset"],
    "DQ_DataQuality": ["scope", "report", "lineage"],
    "LI_Lineage": ["statement", "processStep", "source"],
    "EX_GeographicBoundingBox": [
        "westBoundLongitude", "eastBoundLongitude", "southBoundLatitude", "northBoundLatitude",
    ],
}  # fmt: skip


def read(archived, product: Product) -> tuple[MD_Metadata, ET.Element]:
    content = archived.iso(product)
    return MD_Metadata(etree.fromstring(content)), ET.fromstring(content)


@pytest.fixture(params=["l1c", "ndvi"])
def product(request, archived) -> Product:
    return getattr(archived, request.param)


def test_another_reader_gets_back_what_went_in(archived, product):
    read_back, _ = read(archived, product)
    registry = archived.registry
    mission, recipe = registry.missions[product.mission], registry.recipes[product.recipe]
    (identification,) = read_back.identification
    assert identification.title == f"{mission.title['en']}: {recipe.title['en']}"
    assert (identification.alternatetitle, identification.edition) == (product.id, product.revision)
    bounds = identification.bbox
    assert (float(bounds.minx), float(bounds.miny), float(bounds.maxx), float(bounds.maxy)) == pytest.approx(
        product.bbox, abs=1e-6
    )
    acquired = {
        datetime.fromisoformat(text)
        for text in (identification.temporalextent_start, identification.temporalextent_end)
    }
    assert acquired == {product.acquired.astimezone(UTC)}
    assert {date.type for date in identification.date} == {"creation", "publication"}
    assert (read_back.referencesystem.codeSpace, read_back.referencesystem.code) == ("EPSG", "32643")
    assert [party.organization for party in read_back.contact] == [provider.name for provider in mission.providers]
    assert {party.role for party in read_back.contact} == {"owner"}
    assert read_back.dataquality.lineage == " ".join(recipe.description.split())
    assert read_back.parentidentifier == product.collection
    assert {"kazeosat-1", "naomi"} <= {keyword.name for keyword in identification.keywords[0].keywords}


def test_elements_stand_in_the_order_of_the_standard(archived, product):
    _, root = read(archived, product)
    assert root.tag == f"{GMD}MD_Metadata"
    names = [child.tag.removeprefix(GMD) for child in root]
    assert [ORDER.index(name) for name in names] == sorted(ORDER.index(name) for name in names)
    assert set(names) >= NEEDED
    for part, order in PARTS.items():
        found = list(root.iter(f"{GMD}{part}"))
        assert found, part
        for element in found:
            places = [order.index(child.tag.removeprefix(GMD)) for child in element]
            assert places == sorted(places), part


def test_the_footprint_comes_back(archived, product):
    _, root = read(archived, product)
    outlines = []
    for ring in root.iter(f"{GML}posList"):
        numbers = [float(number) for number in str(ring.text).split()]
        outlines.append(Polygon(list(zip(numbers[1::2], numbers[0::2], strict=True))))
    (outline,) = outlines
    footprint = shape(product.geometry)
    assert outline.symmetric_difference(footprint).area <= 1e-6 * footprint.area


def test_texts_are_in_three_languages_whose_locales_are_declared(archived, product):
    _, root = read(archived, product)
    declared = {f"#{element.get('id')}" for element in root.iter(f"{GMD}PT_Locale")}
    assert declared == {"#locale-kk", "#locale-ru"}
    spoken = list(root.iter(f"{GMD}LocalisedCharacterString"))
    assert {element.get("locale") for element in spoken} == declared
    assert all(re.search("[А-Яа-яӘә]", str(element.text)) for element in spoken if element.text != "KazEOSat-1")
    title = next(root.iter(f"{GMD}title"))
    words = {element.get("locale"): element.text for element in title.iter(f"{GMD}LocalisedCharacterString")}
    recipe = archived.registry.recipes[product.recipe]
    assert words["#locale-kk"].endswith(recipe.title["kk"])
    assert words["#locale-ru"].endswith(recipe.title["ru"])


def test_the_same_product_gives_the_same_bytes(archived, product):
    assert archived.iso(product) == archived.iso(Product.model_validate_json(product.model_dump_json()))


def test_what_is_not_known_is_not_stated(archived):
    plain = archived.l1c.model_copy(update={"accuracy": {}, "angles": {}})
    known, unknown = archived.iso(archived.l1c), archived.iso(plain)
    for name in (b"DQ_AbsoluteExternalPositionalAccuracy", b"illuminationElevationAngle"):
        assert name in known
        assert name not in unknown
    assert b">8.1<" in known  # CE90, m


def test_a_hostile_name_makes_no_broken_document(archived):
    product = archived.l1c
    (record,) = product.lineage.inputs
    name = 'a\x00b<c>&"\ud800]]>'
    lineage = product.lineage.model_copy(update={"inputs": (record.model_copy(update={"name": name}),)})
    root = ET.fromstring(archived.iso(product.model_copy(update={"lineage": lineage})))
    sources = [element.findtext(f"{GMD}description/{GCO}CharacterString") for element in root.iter(f"{GMD}LI_Source")]
    assert sources == [f'package: a\ufffdb<c>&"\ufffd]]> (SHA-256 {record.sha256})']


def test_a_footprint_over_the_antimeridian_keeps_both_parts(archived):
    halves = [
        [[[179, 0], [180, 0], [180, 1], [179, 1], [179, 0]]],
        [[[-180, 0], [-179, 0], [-179, 1], [-180, 1], [-180, 0]]],
    ]
    product = archived.l1c.model_copy(
        update={"geometry": {"type": "MultiPolygon", "coordinates": halves}, "bbox": (179.0, 0.0, -179.0, 1.0)}
    )
    read_back, root = read(archived, product)
    assert len(list(root.iter(f"{GML}Polygon"))) == 2
    ids = [element.get(f"{GML}id") for element in root.iter() if element.get(f"{GML}id")]
    assert len(ids) == len(set(ids))
    assert (read_back.identification[0].bbox.minx, read_back.identification[0].bbox.maxx) == ("179", "-179")


def test_every_mission_and_recipe_has_a_document(archived):
    registry = archived.registry
    for sensor in registry.sensors.values():
        for recipe in registry.recipes.values():
            document = iso_document(archived.l1c, registry.missions[sensor.mission], sensor, recipe)
            assert MD_Metadata(etree.fromstring(document)).identification[0].title

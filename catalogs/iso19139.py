"""A product's metadata as ISO 19115 in ISO 19139 XML (gmd): what national catalogues and CSW servers harvest."""

from collections.abc import Iterator
from datetime import UTC, datetime

from catalogs import gmd, texts
from catalogs.composed import span_of
from catalogs.gmd import Element
from configs.schema import MissionConfig, RecipeConfig, SensorConfig
from configs.schema.missions import Provider
from processing.model.lineage import InputRecord
from processing.model.product import Product, StoredBand, StoredGroup

ISO_KEY = "iso19139"
ISO_TITLE = "Metadata in ISO 19115 (ISO 19139 XML)"
ISO_ROLES = ("metadata", "iso-19115")
MEDIA_TYPE = "application/vnd.iso.19139+xml"
_THREE_LETTERS = {"kk": "kaz", "ru": "rus", "en": "eng"}
_FORMATS = {".tif": ("Cloud Optimized GeoTIFF", "1.0"), ".zarr": ("Zarr", "3")}
_ROLES = {"licensor": "owner", "producer": "originator", "processor": "processor", "host": "distributor"}
_STATED = ("package", "parent", "dem", "geoid", "reference")
"""Inputs that are data; the others are configuration."""
_NANOMETRE = "http://www.opengis.net/def/uom/UCUM/0/nm"


def iso_document(product: Product, mission: MissionConfig, sensor: SensorConfig, recipe: RecipeConfig) -> bytes:
    """The ISO 19139 document of a product: one ``gmd:MD_Metadata`` in UTF-8, texts in Kazakh, Russian and English.

    It follows from its arguments alone, byte for byte. It names no address, because a product's files move with HOME.

    Parameters
    ----------
    product
        What is archived.
    mission, sensor, recipe
        What tells of it.
    """
    others = [language for language in texts.LANGUAGES if language != texts.MAIN]
    document = gmd.node(
        "gmd:MD_Metadata",
        gmd.text("gmd:fileIdentifier", f"{product.collection}/{product.id}@{product.revision}"),
        gmd.code("gmd:language", "LanguageCode", _THREE_LETTERS[texts.MAIN]),
        gmd.code("gmd:characterSet", "MD_CharacterSetCode", "utf8"),
        gmd.text("gmd:parentIdentifier", product.collection),
        gmd.code("gmd:hierarchyLevel", "MD_ScopeCode", "dataset"),
        *_contacts("gmd:contact", mission),
        gmd.text("gmd:dateStamp", _moment(product.created), "DateTime"),
        gmd.text("gmd:metadataStandardName", "ISO 19115:2003/19139"),
        gmd.text("gmd:metadataStandardVersion", "1.0"),
        *(gmd.locale(language, _THREE_LETTERS[language]) for language in others),
        *(_georectified(group) for group in product.groups),
        *(_reference_system(crs) for crs in dict.fromkeys(group.crs for group in product.groups)),
        gmd.node("gmd:identificationInfo", _identification(product, mission, sensor, recipe)),
        gmd.node("gmd:contentInfo", _content(product)),
        gmd.node("gmd:distributionInfo", _distribution(product)),
        gmd.node("gmd:dataQualityInfo", _quality(product, recipe)),
    )
    return gmd.written(document)


def _contacts(name: str, mission: MissionConfig) -> Iterator[Element]:
    """The organisations behind the data, each once, by the first of its roles that the standard has a word for."""
    for provider in mission.providers:
        yield gmd.node(name, _party(provider))
    if not mission.providers:
        yield gmd.node(name, attributes={"gco:nilReason": "unknown"})


def _party(provider: Provider) -> Element:
    role = next((_ROLES[role] for role in _ROLES if role in provider.roles), "pointOfContact")
    contact = gmd.path(
        "gmd:contactInfo/gmd:CI_Contact/gmd:onlineResource/gmd:CI_OnlineResource/gmd:linkage/gmd:URL", str(provider.url)
    )
    return gmd.node(
        "gmd:CI_ResponsibleParty",
        gmd.text("gmd:organisationName", provider.name),
        contact if provider.url else None,
        gmd.code("gmd:role", "CI_RoleCode", role),
    )


def _georectified(group: StoredGroup) -> Element:
    sizes = zip(("row", "column"), group.shape, strict=True)
    return gmd.path(
        "gmd:spatialRepresentationInfo/gmd:MD_Georectified",
        gmd.text("gmd:numberOfDimensions", 2, "Integer"),
        *(
            gmd.path(
                "gmd:axisDimensionProperties/gmd:MD_Dimension",
                gmd.code("gmd:dimensionName", "MD_DimensionNameTypeCode", axis),
                gmd.text("gmd:dimensionSize", size, "Integer"),
                gmd.measure("gmd:resolution", group.resolution_m, "m", "Measure"),
            )
            for axis, size in sizes
        ),
        gmd.code("gmd:cellGeometry", "MD_CellGeometryCode", "area"),
        gmd.text("gmd:transformationParameterAvailability", "false", "Boolean"),
        gmd.text("gmd:checkPointAvailability", "false", "Boolean"),
        gmd.path("gmd:pointInPixel/gmd:MD_PixelOrientationCode", "upperLeft"),
    )


def _reference_system(crs: str) -> Element:
    authority, _, number = crs.partition(":")
    return gmd.path(
        "gmd:referenceSystemInfo/gmd:MD_ReferenceSystem/gmd:referenceSystemIdentifier/gmd:RS_Identifier",
        gmd.text("gmd:code", number),
        gmd.text("gmd:codeSpace", authority),
    )


def _identification(product: Product, mission: MissionConfig, sensor: SensorConfig, recipe: RecipeConfig) -> Element:
    return gmd.node(
        "gmd:MD_DataIdentification",
        gmd.node("gmd:citation", _citation(product, mission, recipe)),
        gmd.free_text("gmd:abstract", texts.descriptions(mission, recipe), texts.MAIN),
        gmd.code("gmd:status", "MD_ProgressCode", "completed"),
        *_contacts("gmd:pointOfContact", mission),
        _keywords([mission.platform, sensor.instrument, recipe.id, *(band.name for band in product.bands)]),
        gmd.path(
            "gmd:resourceConstraints/gmd:MD_LegalConstraints",
            gmd.code("gmd:useConstraints", "MD_RestrictionCode", "otherRestrictions"),
            gmd.text("gmd:otherConstraints", f"Licence: {mission.licence}"),
        ),
        gmd.code("gmd:spatialRepresentationType", "MD_SpatialRepresentationTypeCode", "grid"),
        *(
            gmd.node(
                "gmd:spatialResolution", gmd.node("gmd:MD_Resolution", gmd.measure("gmd:distance", resolution, "m"))
            )
            for resolution in sorted({group.resolution_m for group in product.groups})
        ),
        gmd.node("gmd:language", attributes={"gco:nilReason": "inapplicable"}),
        gmd.path("gmd:topicCategory/gmd:MD_TopicCategoryCode", "imageryBaseMapsEarthCover"),
        gmd.node("gmd:extent", _extent(product)),
    )


def _citation(product: Product, mission: MissionConfig, recipe: RecipeConfig) -> Element:
    """Title; when it was taken is its date of creation, when it was published that of publication."""
    return gmd.node(
        "gmd:CI_Citation",
        gmd.free_text("gmd:title", texts.titles(mission, recipe), texts.MAIN),
        gmd.text("gmd:alternateTitle", product.id),
        *(
            gmd.path(
                "gmd:date/gmd:CI_Date",
                gmd.text("gmd:date", _moment(moment), "DateTime"),
                gmd.code("gmd:dateType", "CI_DateTypeCode", kind),
            )
            for kind, moment in (("creation", span_of(product)[1]), ("publication", product.created))
        ),
        gmd.text("gmd:edition", product.revision),
        gmd.path("gmd:identifier/gmd:MD_Identifier", gmd.text("gmd:code", f"{product.collection}/{product.id}")),
    )


def _keywords(words: list[str]) -> Element:
    return gmd.path(
        "gmd:descriptiveKeywords/gmd:MD_Keywords",
        *(gmd.text("gmd:keyword", word) for word in dict.fromkeys(words)),
        gmd.code("gmd:type", "MD_KeywordTypeCode", "theme"),
    )


def _extent(product: Product) -> Element:
    west, south, east, north = product.bbox
    bounds = {"westBound": west, "eastBound": east, "southBound": south, "northBound": north}
    first, last = map(_moment, span_of(product))
    period = gmd.node(
        "gml:TimePeriod",
        gmd.node("gml:beginPosition", first),
        gmd.node("gml:endPosition", last),
        attributes={"gml:id": "acquired"},
    )
    return gmd.node(
        "gmd:EX_Extent",
        gmd.path(
            "gmd:geographicElement/gmd:EX_GeographicBoundingBox",
            *(
                gmd.text(f"gmd:{name}{'Longitude' if name[0] in 'we' else 'Latitude'}", f"{value:.9g}", "Decimal")
                for name, value in bounds.items()
            ),
        ),
        gmd.path("gmd:geographicElement/gmd:EX_BoundingPolygon", *gmd.polygons(product.geometry)),
        gmd.path("gmd:temporalElement/gmd:EX_TemporalExtent/gmd:extent", period),
    )


def _content(product: Product) -> Element:
    elevation = product.angles.get("sun_zenith_deg")
    azimuth = product.angles.get("sun_azimuth_deg")
    return gmd.node(
        "gmd:MD_ImageDescription",
        gmd.node("gmd:attributeDescription", attributes={"gco:nilReason": "inapplicable"}),
        gmd.code("gmd:contentType", "MD_CoverageContentTypeCode", "image"),
        *(gmd.path("gmd:dimension", _band(band)) for band in product.bands),
        None if elevation is None else gmd.text("gmd:illuminationElevationAngle", f"{90.0 - elevation:.6g}", "Real"),
        None if azimuth is None else gmd.text("gmd:illuminationAzimuthAngle", f"{azimuth:.6g}", "Real"),
        gmd.path("gmd:processingLevelCode/gmd:MD_Identifier", gmd.text("gmd:code", product.level.upper())),
    )


def _band(band: StoredBand) -> Element:
    member = gmd.path(
        "gmd:sequenceIdentifier/gco:MemberName",
        gmd.text("gco:aName", band.name),
        gmd.path("gco:attributeType/gco:TypeName", gmd.text("gco:aName", band.dtype)),
    )
    wavelength = (
        [
            gmd.node("gmd:units", attributes={"xlink:href": _NANOMETRE}),
            gmd.text("gmd:peakResponse", f"{band.centre_nm:.9g}", "Real"),
        ]
        if band.centre_nm is not None
        else []
    )
    return gmd.node(
        "gmd:MD_Band",
        member,
        gmd.text("gmd:descriptor", band.title),
        *wavelength,
        gmd.text("gmd:scaleFactor", f"{band.scale:.12g}", "Real"),
        gmd.text("gmd:offset", f"{band.offset:.12g}", "Real"),
    )


def _distribution(product: Product) -> Element:
    suffixes = {f".{file.href.rpartition('.')[2]}" for file in product.files}
    return gmd.node(
        "gmd:MD_Distribution",
        *(
            gmd.path(
                "gmd:distributionFormat/gmd:MD_Format",
                gmd.text("gmd:name", name),
                gmd.text("gmd:version", version),
            )
            for suffix, (name, version) in _FORMATS.items()
            if suffix in suffixes
        ),
    )


def _quality(product: Product, recipe: RecipeConfig) -> Element:
    ce90 = product.accuracy.get("ce90_m")
    step = gmd.path(
        "gmd:processStep/gmd:LI_ProcessStep",
        gmd.text("gmd:description", _made_by(product)),
        gmd.text("gmd:dateTime", _moment(product.created), "DateTime"),
    )
    inputs = [record for record in product.lineage.inputs if record.role in _STATED]
    return gmd.node(
        "gmd:DQ_DataQuality",
        gmd.path("gmd:scope/gmd:DQ_Scope", gmd.code("gmd:level", "MD_ScopeCode", "dataset")),
        None if ce90 is None else gmd.node("gmd:report", _positional(ce90)),
        gmd.path(
            "gmd:lineage/gmd:LI_Lineage",
            gmd.free_text("gmd:statement", texts.statements(recipe), texts.MAIN),
            step,
            *(gmd.path("gmd:source/gmd:LI_Source", gmd.text("gmd:description", _source(each))) for each in inputs),
        ),
    )


def _positional(ce90_m: float) -> Element:
    return gmd.node(
        "gmd:DQ_AbsoluteExternalPositionalAccuracy",
        gmd.text("gmd:nameOfMeasure", "CE90: radius of the circle that holds 90 % of horizontal errors"),
        gmd.path(
            "gmd:result/gmd:DQ_QuantitativeResult",
            gmd.node("gmd:valueUnit", attributes={"xlink:href": "http://www.opengis.net/def/uom/UCUM/0/m"}),
            gmd.text("gmd:value", f"{ce90_m:.6g}", "Record"),
        ),
    )


def _made_by(product: Product) -> str:
    made = product.lineage
    software = made.software.get("qyran", "")
    return f"Qyran {software}, recipe {made.recipe} {made.recipe_version}, lineage SHA-256 {made.digest}".replace(
        " ,", ","
    )


def _source(record: InputRecord) -> str:
    return f"{record.role}: {record.name} (SHA-256 {record.sha256})"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

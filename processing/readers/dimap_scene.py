"""One DIMAP v2 product document as a Scene without pixels."""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from configs.schema import AzimuthMeaning, SensorConfig
from processing.geometry.corners import Corner
from processing.geometry.guards import check_model
from processing.geometry.rpc import Rpc
from processing.model.errors import BadInput
from processing.model.levels import Level
from processing.model.scene import Angles, MapGrid, Scene
from processing.model.timeliness import ATTITUDE, ORBIT
from processing.readers.dimap_grid import inserted_grid
from processing.readers.dimap_radiometry import band_calibrations, indexed_labels, special_values
from processing.readers.dimap_xml import XmlNode, find_href, safe_href
from processing.readers.image_files import ImageFiles
from processing.readers.known_sensors import (
    KnownSensor,
    band_group,
    build_band,
    esun_warnings,
    known_sensor,
    ordered_labels,
)
from processing.readers.pixels import PixelTile
from processing.readers.rpc_files import read_rpc_document

_LEVELS = {
    "SENSOR": Level.SENSOR,
    "PRIMARY": Level.SENSOR,
    "SYSTEM": Level.SYSTEM,
    "PROJECTED": Level.SYSTEM,
    "SYSTEM_GEOREF": Level.SYSTEM,
    "ORTHO": Level.ORTHO,
    "MOSAIC": Level.ORTHO,
}
_RASTER = "Raster_Data"


def product_scene(document: XmlNode, path: Path, root: Path, sensors: Mapping[str, SensorConfig]) -> Scene:
    """A product document (DIM_*.XML) as a Scene.

    Raises
    ------
    BadInput
        When a figure is missing or impossible, the mission unknown, or the model refused.
    """
    where = path.name
    profile = document.maybe("Metadata_Identification/METADATA_PROFILE") or ""
    source, strip = _strip(document)
    mission = " ".join(filter(None, (strip.maybe("MISSION"), strip.maybe("MISSION_INDEX"))))
    known = known_sensor(sensors, format_name="dimap-v2", profile=profile, mission=mission, where=where)
    dimensions = document.need(f"{_RASTER}/Raster_Dimensions")
    shape = (dimensions.integer("NROWS"), dimensions.integer("NCOLS"))
    calibrations = band_calibrations(document, known, where)
    labels = ordered_labels(known, indexed_labels(document), tuple(calibrations), dimensions.integer("NBANDS"), where)
    bands = tuple(build_band(known, label, calibrations.get(label)) for label in labels)
    angles, moment, facts = _geometry(document, known)
    level = _level(document, where)
    footprint = _footprint(document)
    model, doubts = _model(document, path, root, shape) if level is Level.SENSOR else (None, ())
    specials = special_values(document)
    return Scene(
        scene_id=source.maybe("SOURCE_ID") or document.text("Dataset_Identification/DATASET_NAME"),
        mission=known.sensor.mission,
        sensor=known.sensor.id,
        group=band_group(known, [band.name for band in bands], where),
        level=level,
        acquired=moment or strip.time_of("IMAGING_DATE", "IMAGING_TIME"),
        bands=bands,
        shape=shape,
        angles=angles,
        footprint=footprint,
        model=model,
        map_grid=None if level is Level.SENSOR else _map_grid(document),
        nodata=specials.get("NODATA", known.sensor.nodata),
        saturated=specials.get("SATURATED", known.sensor.saturated),
        profile=profile,
        platform_facts=_facts(document) | facts | {"bands_listed": " ".join(calibrations)},
        warnings=_warnings(document) + esun_warnings(bands) + doubts,
    )


def image_sets(document: XmlNode, root: Path, folder: Path) -> tuple[ImageFiles, ...]:
    """The image files of a document; Pleiades Neo spreads six bands over two sets.

    Raises
    ------
    BadInput
        ``path.escape`` for a reference that leaves the package.
    """
    sets = document.all(f"{_RASTER}/Data_Access/Data_Files")
    bands = document.need(f"{_RASTER}/Raster_Dimensions").integer("NBANDS")
    return tuple(
        ImageFiles(
            tiles=tuple(
                PixelTile(
                    path=safe_href(root, folder, entry.need("DATA_FILE_PATH").attribute("href") or ""),
                    row=_place(entry, "tile_R"),
                    column=_place(entry, "tile_C"),
                )
                for entry in files.all("Data_File")
            ),
            bands=len(files.all("Raster_Display/Raster_Index_List/Raster_Index")) or bands,
        )
        for files in sets
    )


def _place(entry: XmlNode, name: str) -> int:
    text = entry.attribute(name) or "1"
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise BadInput(
            f"'{entry.file}': {name}={text[:40]!r} is no place in a grid", kind="xml.number", where=entry.file
        )
    return int(text)


def _strip(document: XmlNode) -> tuple[XmlNode, XmlNode]:
    """The source that is the acquired strip, among height and ground sources."""
    for source in document.all("Dataset_Sources/Source_Identification"):
        strip = source.find("Strip_Source")
        if strip is not None:
            return source, strip
    raise BadInput(
        f"'{document.file}' has no Dataset_Sources/Source_Identification/Strip_Source",
        kind="xml.missing",
        where=document.file,
    )


def _level(document: XmlNode, where: str) -> Level:
    stated = document.maybe("Processing_Information/Product_Settings/PROCESSING_LEVEL")
    stated = stated or document.text("Dataset_Identification/DATASET_TYPE").removeprefix("RASTER_")
    level = _LEVELS.get(stated.upper())
    if level is None:
        raise BadInput(f"processing level {stated[:40]!r} is unknown", kind="level.unknown", where=where)
    return level


def _geometry(document: XmlNode, known: KnownSensor) -> tuple[Angles, datetime | None, dict[str, str | float | int]]:
    """Angles and time at the scene's centre, and the ground sampling there."""
    places = document.all("Geometric_Data/Use_Area/Located_Geometric_Values")
    centre = next((place for place in places if place.maybe("LOCATION_TYPE") == "Center"), None)
    if centre is None:
        return Angles(), None, {}
    sun, view = centre.need("Solar_Incidences"), centre.need("Acquisition_Angles")
    elevation = sun.number("SUN_ELEVATION")
    if not -90 <= elevation <= 90:
        raise BadInput(f"the sun stands at {elevation} degrees", kind="angles.range", where=document.file)
    facts: dict[str, str | float | int] = {}
    for name, tag in (("gsd_across_m", "GSD_ACROSS_TRACK"), ("gsd_along_m", "GSD_ALONG_TRACK")):
        value = centre.maybe_number(f"Ground_Sample_Distance/{tag}")
        if value is not None:
            facts[name] = value
    angles = Angles(
        sun_zenith_deg=90.0 - elevation,
        sun_azimuth_deg=sun.number("SUN_AZIMUTH") % 360.0,
        view_zenith_deg=view.maybe_number("INCIDENCE_ANGLE"),
        view_azimuth_deg=_view_azimuth(view, known.profile.azimuth_angle),
        off_nadir_deg=view.maybe_number("VIEWING_ANGLE"),
    )
    return angles, centre.time("TIME") if centre.maybe("TIME") else None, facts


def _view_azimuth(view: XmlNode, meaning: AzimuthMeaning) -> float | None:
    """Azimuth from the target towards the satellite, degrees."""
    azimuth = view.maybe_number("AZIMUTH_ANGLE")
    if azimuth is None or meaning is AzimuthMeaning.SATELLITE:
        return None if azimuth is None else azimuth % 360.0
    along = math.radians(view.number("INCIDENCE_ANGLE_ALONG_TRACK"))
    across = math.radians(view.number("INCIDENCE_ANGLE_ACROSS_TRACK"))
    return (azimuth - math.degrees(math.atan2(math.tan(across), math.tan(along)))) % 360.0


def _footprint(document: XmlNode) -> tuple[tuple[float, float], ...]:
    vertices = document.all("Dataset_Content/Dataset_Extent/Vertex")
    ring = tuple((vertex.number("LON"), vertex.number("LAT")) for vertex in vertices)
    if any(not (-180 <= lon <= 180 and -90 <= lat <= 90) for lon, lat in ring):
        raise BadInput(f"the footprint {ring} is not on Earth", kind="footprint.range", where=document.file)
    return ring


def _corners(document: XmlNode) -> tuple[Corner, ...]:
    """The footprint's vertices, with the pixels they belong to where these are stated (from 1, at pixels' centres)."""
    return tuple(
        Corner(
            lon=vertex.number("LON"),
            lat=vertex.number("LAT"),
            line=None if (row := vertex.maybe_number("ROW")) is None else row - 0.5,
            sample=None if (column := vertex.maybe_number("COL")) is None else column - 0.5,
        )
        for vertex in document.all("Dataset_Content/Dataset_Extent/Vertex")
    )


def _model(document: XmlNode, path: Path, root: Path, shape: tuple[int, int]) -> tuple[Rpc, tuple[str, ...]]:
    """The RPC the document names, or the one named alike; and what is odd about it."""
    components = document.all("Geoposition/Geoposition_Models/Rational_Function_Model/Component")
    components += tuple(
        component
        for component in document.all("Dataset_Content/Dataset_Components/Component")
        if "RPC" in (component.maybe("COMPONENT_TITLE") or "").upper()
    )
    hrefs = [component.need("COMPONENT_PATH").attribute("href") or "" for component in components]
    candidates = [find_href(root, path.parent, href) for href in hrefs]
    candidates.append(path.with_name(re.sub(r"^DIM_", "RPC_", path.name)))
    found = next((candidate for candidate in candidates if candidate.is_file() and candidate != path), None)
    if found is None:
        raise BadInput(
            f"'{path.name}' is a sensor-level product, but its RPC document is not in the package",
            kind="rpc.missing",
            where=candidates[0].name,
            remedy="Transfer the package again, or ask the producer for the RPC file.",
        )
    stated = read_rpc_document(found)
    doubts = check_model(
        stated.rpc,
        shape=shape,
        corners=_corners(document),
        direct=stated.direct,
        domain=stated.domain,
        where=found.name,
    )
    return stated.rpc, doubts


def _map_grid(document: XmlNode) -> MapGrid | None:
    """Corner-based grid of an image that is on a map; None when the document states none."""
    insert, code = document.find("Geoposition/Geoposition_Insert"), None
    for kind in ("Projected_CRS/PROJECTED_CRS_CODE", "Geodetic_CRS/GEODETIC_CRS_CODE"):
        code = code or document.maybe(f"Coordinate_Reference_System/{kind}")
    number = re.search(r"(\d{4,5})$", code or "")
    if insert is None or number is None:
        return None
    by_centre = document.maybe("Geoposition/Raster_CRS/PIXEL_ORIENTATION") == "CENTER"
    return inserted_grid(insert, f"EPSG:{number[1]}", by_centre=by_centre)


def _facts(document: XmlNode) -> dict[str, str | float | int]:
    settings = "Processing_Information/Product_Settings"
    texts = {
        "dataset": "Dataset_Identification/DATASET_NAME",
        "job": "Product_Information/Delivery_Identification/JOB_ID",
        "produced": "Product_Information/Delivery_Identification/PRODUCTION_DATE",
        "software": "Processing_Information/Production_Facility/SOFTWARE",
        "spectral_processing": f"{settings}/SPECTRAL_PROCESSING",
        "radiometric_processing": f"{settings}/Radiometric_Settings/RADIOMETRIC_PROCESSING",
        ORBIT: f"{settings}/Geometric_Settings/EPHEMERIS_USED",
        ATTITUDE: f"{settings}/Geometric_Settings/ATTITUDES_USED",
    }
    numbers = {
        "cloud_cover_percent": "Dataset_Content/CLOUD_COVERAGE",
        "ce90_m": "Quality_Assessment/Planimetric_Accuracy_Measurement/Quality_Values/ACCURACY_CE90",
    }
    facts: dict[str, str | float | int] = {}
    for name, path in texts.items():
        if (text := document.maybe(path)) is not None:
            facts[name] = text[:200]
    for name, path in numbers.items():
        if (number := document.maybe_number(path)) is not None:
            facts[name] = number
    return facts


def _warnings(document: XmlNode) -> tuple[str, ...]:
    warnings = []
    if document.maybe("Processing_Information/Product_Settings/SPECTRAL_PROCESSING") in {"PMS", "PMS-FS", "PMS-N"}:
        warnings.append("pansharpened: the multispectral gains hold only approximately on this grid")
    if document.maybe("Raster_Data/Raster_Encoding/NBITS") == "8":
        warnings.append("stretched to 8 bits: the stated gains may not apply")
    return tuple(warnings)

"""DIMAP 1.1 packages of SSTL's Keystone chain: Alsat-1B, UK-DMC 2, KazEOSat-2."""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from configs.schema import SensorConfig
from processing.geometry.corners import Corner
from processing.geometry.guards import check_model
from processing.model.errors import BadInput
from processing.model.levels import Level
from processing.model.scene import Angles, BandCalibration, Delivery, MapGrid, Scene
from processing.model.sensor_model import SensorModel
from processing.readers.dimap_grid import inserted_grid
from processing.readers.dimap_xml import XmlNode, read_xml, root_tag, safe_href
from processing.readers.image_files import ImageFiles, missing_pixels, open_image
from processing.readers.known_sensors import (
    KnownSensor,
    band_group,
    build_band,
    calibration,
    esun_warnings,
    known_sensor,
    ordered_labels,
)
from processing.readers.package import PackageFiles
from processing.readers.pixels import PixelTile
from processing.readers.protocol import one_scene
from processing.readers.rpc_sources import rpc_of_image

_LEVELS = {"L1R": Level.SENSOR, "L1G": Level.SYSTEM, "L1T": Level.ORTHO}
_PROCESSING = {"RAW": Level.SENSOR, "SYSTEM": Level.SYSTEM, "ORTHORECTIFIED": Level.ORTHO, "RECTIFIED": Level.SYSTEM}
_SOURCE = "Dataset_Sources/Source_Information"


class DimapV1Reader:
    """Reads the product documents (``.dim`` or ``.xml``) of a Keystone package."""

    format = "dimap-v1"

    def claims(self, files: PackageFiles) -> bool:
        """Whether some document is a DIMAP 1.x document."""
        return any(_is_v1(path) for path in files.ending(".dim", ".xml"))

    def read(self, files: PackageFiles, sensors: Mapping[str, SensorConfig], *, pixels: bool) -> Delivery:
        """The package, understood; see :class:`processing.readers.protocol.SceneReader`.

        A package may hold further documents of other scenes whose images were not delivered with it; the one
        whose image files are there counts, or the first ``.dim`` when none are.
        """
        documents = [(path, read_xml(path)) for path in files.ending(".dim", ".xml") if _is_v1(path)]
        documents.sort(
            key=lambda found: (not _has_files(found[1], files.root, found[0]), found[0].suffix.lower() != ".dim")
        )
        path, document = documents[0]
        scene = _scene(document, path, files.root, sensors)
        others = [other.name for other, _ in documents[1:]]
        if others:
            scene = scene.but(warnings=(*scene.warnings, f"further documents without images of their own: {others}"))
        image = _image(document, files.root, path)
        no_pixels = missing_pixels([image])
        scene = scene.but(no_pixels=no_pixels)
        if pixels and no_pixels is None:
            scene = scene.but(source=open_image([image], shape=scene.shape))
        return one_scene(files, self.format, scene, path)


def _is_v1(path: Path) -> bool:
    if root_tag(path) != "Dimap_Document":
        return False
    with path.open("rb") as file:
        head = file.read(4096).replace(b"\0", b"")
    return b'version="1' in head.partition(b"<METADATA_FORMAT")[2].partition(b">")[0]


def _has_files(document: XmlNode, root: Path, path: Path) -> bool:
    return all(tile.path.is_file() for tile in _image(document, root, path).tiles)


def _image(document: XmlNode, root: Path, path: Path) -> ImageFiles:
    entries = document.all("Data_Access/Data_File/DATA_FILE_PATH")
    return ImageFiles(
        tiles=tuple(PixelTile(path=safe_href(root, path.parent, entry.attribute("href") or "")) for entry in entries),
        bands=document.integer("Raster_Dimensions/NBANDS"),
    )


def _scene(document: XmlNode, path: Path, root: Path, sensors: Mapping[str, SensorConfig]) -> Scene:
    where = path.name
    profile = document.maybe("Metadata_Id/METADATA_PROFILE") or ""
    source = document.need(f"{_SOURCE}/Scene_Source")
    mission = " ".join(filter(None, (source.maybe("MISSION"), source.maybe("MISSION_INDEX"))))
    known = known_sensor(sensors, format_name="dimap-v1", profile=profile, mission=mission, where=where)
    shape = (document.integer("Raster_Dimensions/NROWS"), document.integer("Raster_Dimensions/NCOLS"))
    calibrations = _calibrations(document, known, where)
    labels = ordered_labels(known, tuple(calibrations), (), document.integer("Raster_Dimensions/NBANDS"), where)
    bands = tuple(build_band(known, label, calibrations[label]) for label in labels)
    level = _level(document, where)
    footprint = tuple(
        (vertex.number("FRAME_LON"), vertex.number("FRAME_LAT")) for vertex in document.all("Dataset_Frame/Vertex")
    )
    model, doubts = _model(document, root, path, shape, footprint) if level is Level.SENSOR else (None, ())
    return Scene(
        scene_id=document.text("Dataset_Id/DATASET_NAME"),
        mission=known.sensor.mission,
        sensor=known.sensor.id,
        group=band_group(known, [band.name for band in bands], where),
        level=level,
        acquired=_acquired(source),
        bands=bands,
        shape=shape,
        angles=_angles(document, source),
        footprint=footprint,
        model=model,
        map_grid=None if level is Level.SENSOR else _map_grid(document),
        nodata=_special_values(document).get("nodata", known.sensor.nodata),
        saturated=_special_values(document).get("saturated", known.sensor.saturated),
        profile=profile,
        platform_facts=_facts(document),
        warnings=esun_warnings(bands) + doubts,
    )


def _calibrations(document: XmlNode, known: KnownSensor, where: str) -> dict[str, BandCalibration | None]:
    """Calibration by band label, by the file's own index. Its display order is for viewers and may be wrong."""
    entries = document.all("Image_Interpretation/Spectral_Band_Info")
    found = {}
    for entry in sorted(entries, key=lambda entry: entry.integer("BAND_INDEX")):
        label = entry.text("BAND_DESCRIPTION")
        esun = entry.maybe_number("SOLAR_IRRADIANCE") or entry.maybe_number("ESUN")
        found[label] = calibration(
            known,
            label,
            gain=entry.number("PHYSICAL_GAIN"),
            bias=entry.number("PHYSICAL_BIAS"),
            esun=esun,
            calibrated_on=entry.maybe("PHYSICAL_CALIBRATION_DATE"),
            where=where,
        )
    return found


def _level(document: XmlNode, where: str) -> Level:
    """PRODUCT_TYPE where it is filled in, else the data set's own name, else the processing it states."""
    name = document.text("Dataset_Id/DATASET_NAME")
    suffix = re.search(r"_(L1[RGT])(?:_|$)", name)
    stated = document.maybe("Production/PRODUCT_TYPE") or (suffix[1] if suffix else "")
    processing = document.maybe("Data_Processing/GEOMETRIC_PROCESSING") or ""
    level = _LEVELS.get(stated.upper()) or _PROCESSING.get(processing.upper())
    if level is None:
        raise BadInput(f"product type {stated!r}, processing {processing!r}", kind="level.unknown", where=where)
    return level


def _acquired(source: XmlNode) -> datetime:
    """IMAGING_TIME is the scene's centre: half-way between start and stop wherever those are given."""
    return source.time_of("IMAGING_DATE", "IMAGING_TIME")


def _angles(document: XmlNode, source: XmlNode) -> Angles:
    azimuth = next(
        (
            parameter.number("QUALITY_PARAMETER_VALUE")
            for parameter in document.all(f"{_SOURCE}/Quality_Assessment/Quality_Parameter")
            if parameter.maybe("QUALITY_PARAMETER_CODE") == "SPACEMETRIC:SENSOR_AZIMUTH"
        ),
        None,
    )
    return Angles(
        sun_zenith_deg=90.0 - source.number("SUN_ELEVATION"),
        sun_azimuth_deg=source.number("SUN_AZIMUTH") % 360.0,
        view_zenith_deg=source.maybe_number("INCIDENCE_ANGLE"),
        view_azimuth_deg=None if azimuth is None else azimuth % 360.0,
        off_nadir_deg=source.maybe_number("VIEWING_ANGLE"),
    )


def _model(
    document: XmlNode, root: Path, path: Path, shape: tuple[int, int], footprint: tuple[tuple[float, float], ...]
) -> tuple[SensorModel, tuple[str, ...]]:
    image = _image(document, root, path).tiles[0].path
    found = rpc_of_image(image, root)
    if found is None:
        raise BadInput(
            f"'{path.name}' is a sensor-level product without RPC tags or RPC file",
            kind="rpc.missing",
            where=image.name,
            remedy="Transfer the package again, or ask the producer for the RPC file.",
        )
    corners = tuple(Corner(lon=lon, lat=lat) for lon, lat in footprint)
    return found, check_model(found, shape=shape, corners=corners, where=image.name)


def _map_grid(document: XmlNode) -> MapGrid | None:
    """The upper-left pixel is stated by its centre when RASTER_CS_TYPE is POINT."""
    code = document.maybe("Coordinate_Reference_System/Horizontal_CS/HORIZONTAL_CS_CODE") or ""
    insert = document.find("Geoposition/Geoposition_Insert")
    if insert is None or not re.fullmatch(r"EPSG:\d{4,5}", code):
        return None
    return inserted_grid(insert, code, by_centre=document.maybe("Raster_CS/RASTER_CS_TYPE") == "POINT")


def _special_values(document: XmlNode) -> dict[str, int]:
    return {
        entry.text("SPECIAL_VALUE_TEXT").lower(): entry.integer("SPECIAL_VALUE_INDEX")
        for entry in document.all("Image_Display/Special_Value")
    }


def _facts(document: XmlNode) -> dict[str, str | float | int]:
    facts: dict[str, str | float | int] = {}
    for name, text in (
        ("source", document.maybe(f"{_SOURCE}/SOURCE_ID")),
        ("instrument", document.maybe(f"{_SOURCE}/Scene_Source/INSTRUMENT")),
        ("produced", document.maybe("Production/DATASET_PRODUCTION_DATE")),
        ("radiometric_processing", document.maybe("Data_Processing/RADIOMETRIC_PROCESSING")),
    ):
        if text is not None:
            facts[name] = text[:200]
    for parameter in document.all("Quality_Assessment/Quality_Parameter"):
        if parameter.maybe("QUALITY_PARAMETER_CODE") == "SPACEMETRIC:CE90":
            facts["ce90_m"] = parameter.number("QUALITY_PARAMETER_VALUE")
    return facts

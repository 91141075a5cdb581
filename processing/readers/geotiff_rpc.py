"""Any GeoTIFF or JPEG 2000 image: with an RPC it is a sensor-level scene, with a map grid it is on a map."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from configs.schema import SensorConfig
from processing.geometry.guards import check_model
from processing.geometry.rpc import Rpc
from processing.model.errors import BadInput
from processing.model.levels import Level
from processing.model.scene import Angles, Band, Delivery, MapGrid, Scene
from processing.readers.footprint import model_footprint
from processing.readers.image_files import STUB_BYTES
from processing.readers.known_sensors import KnownSensor, band_group, build_band, claiming_sensor
from processing.readers.package import PackageFiles
from processing.readers.pixels import PixelTile, open_source
from processing.readers.protocol import UNKNOWN_MISSION, UNKNOWN_TIME, one_scene
from processing.readers.raster_open import RasterFacts, raster_facts
from processing.readers.rpc_sources import rpc_of_image, tags_against_file

_SUFFIXES = (".tif", ".tiff", ".jp2")


class GeotiffRpcReader:
    """Reads one image file, alone or as the only image of a folder."""

    format = "geotiff-rpc"

    def claims(self, files: PackageFiles) -> bool:
        """Whether some file is named like an image."""
        return bool(files.ending(*_SUFFIXES))

    def read(self, files: PackageFiles, sensors: Mapping[str, SensorConfig], *, pixels: bool) -> Delivery:
        """The image, understood; see :class:`processing.readers.protocol.SceneReader`."""
        images = files.ending(*_SUFFIXES)
        if len(images) != 1:
            raise BadInput(
                f"'{files.package.name}' holds {len(images)} images and no metadata that says how they belong together",
                kind="package.ambiguous",
                where=files.package.name,
                remedy="Hand in the image file itself.",
            )
        image = images[0]
        if image.stat().st_size <= STUB_BYTES:
            raise BadInput(
                f"'{image.name}' is empty, and nothing else describes it",
                kind="package.incomplete",
                where=image.name,
                remedy="Transfer the package again.",
            )
        scene = _scene(image, files.root, sensors)
        if pixels:
            scene = scene.but(source=open_source([PixelTile(path=image)]))
        return one_scene(files, self.format, scene, image)


def _scene(image: Path, root: Path, sensors: Mapping[str, SensorConfig]) -> Scene:
    facts = raster_facts(image)
    shape = (facts.header.lines, facts.header.samples)
    known = claiming_sensor(sensors, format_name="geotiff-rpc", profile="", mission=image.stem, where=image.name)
    bands, group = _bands(facts, known, image.name)
    model = rpc_of_image(image, root)
    grid = _map_grid(facts)
    if model is None and grid is None:
        raise BadInput(
            f"'{image.name}' has no sensor model and is not on a map",
            kind="model.missing",
            where=image.name,
            remedy="Put its RPC file beside it (NAME_RPC.TXT, NAME.RPB, NAME.XML).",
        )
    moment, warnings = _acquired(facts.tags)
    if model is not None:
        warnings += check_model(model, shape=shape, where=image.name)
        warnings += tags_against_file(image, root, shape)
    if known is None:
        warnings = (*warnings, "the file names no mission: no calibration, bands by number")
    return Scene(
        scene_id=image.stem,
        mission=known.sensor.mission if known else UNKNOWN_MISSION,
        sensor=known.sensor.id if known else UNKNOWN_MISSION,
        group=group,
        level=Level.SENSOR if model is not None else Level.ORTHO,
        acquired=moment,
        bands=bands,
        shape=shape,
        angles=Angles(),
        footprint=model_footprint(model, shape) if isinstance(model, Rpc) else (),
        model=model,
        map_grid=None if model is not None else grid,
        nodata=_nodata(facts, known),
        saturated=known.sensor.saturated if known else None,
        platform_facts={"dtype": facts.dtype},
        warnings=warnings,
    )


def _bands(facts: RasterFacts, known: KnownSensor | None, where: str) -> tuple[tuple[Band, ...], str]:
    """Bands by the file's descriptions where those name bands, else by the sensor's only group, else by number."""
    labels = [text or "" for text in facts.descriptions]
    if known is not None:
        names = [known.sensor.band_by_label(label) for label in labels]
        if None in names:
            fitting = [group for group in known.sensor.groups.values() if len(group.bands) == len(labels)]
            order = known.profile.band_order or (fitting[0].bands if len(fitting) == 1 else ())
            labels = [known.sensor.bands[name].labels[0] for name in order]
        if len(labels) == facts.header.bands:
            bands = tuple(build_band(known, label, None) for label in labels)
            return bands, band_group(known, [band.name for band in bands], where)
        raise BadInput(
            f"'{where}' has {facts.header.bands} bands, {known.sensor.id} has no such group", kind="bands", where=where
        )
    usable = all(re.fullmatch(r"[a-z][a-z0-9_]{0,31}", label) for label in labels) and len(set(labels)) == len(labels)
    names_by_number = labels if usable else [f"band_{number}" for number in range(1, facts.header.bands + 1)]
    numbered = tuple(Band(name=name, label=label or name) for name, label in zip(names_by_number, labels, strict=True))
    return numbered, "pan" if len(numbered) == 1 else "ms"


def _map_grid(facts: RasterFacts) -> MapGrid | None:
    if facts.crs is None or facts.transform is None:
        return None
    numbers = tuple(facts.transform)[:6]
    if not all(abs(number) < 1e12 for number in numbers) or facts.transform.determinant == 0:
        raise BadInput(f"the georeference {numbers} is impossible", kind="georef.range")
    return MapGrid(crs=facts.crs, transform=facts.transform)


def _nodata(facts: RasterFacts, known: KnownSensor | None) -> int | None:
    if facts.nodata is not None and float(facts.nodata).is_integer():
        return int(facts.nodata)
    return known.sensor.nodata if known else None


def _acquired(tags: Mapping[str, str]) -> tuple[datetime, tuple[str, ...]]:
    """TIFFTAG_DATETIME is when the file was written: no acquisition time. Only NITF-style tags tell it."""
    for name in ("NITF_IDATIM", "ACQUISITIONDATETIME"):
        digits = re.sub(r"\D", "", tags.get(name, ""))[:14]
        if len(digits) == 14:
            try:
                return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC), ()
            except ValueError:
                continue
    return UNKNOWN_TIME, ("the acquisition time is unknown",)

"""A bare RPC file: a sensor model and whatever its file says of the image, without the image."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from configs.schema import SensorConfig
from processing.geometry.guards import check_model
from processing.geometry.rpc import Rpc
from processing.model.errors import BadInput
from processing.model.levels import Level
from processing.model.scene import Angles, Band, Delivery, Scene
from processing.readers.dimap_xml import XmlNode, utc
from processing.readers.footprint import model_footprint
from processing.readers.known_sensors import KnownSensor, band_group, build_band, calibration, sensor_claims
from processing.readers.package import PackageFiles
from processing.readers.protocol import UNKNOWN_MISSION, UNKNOWN_TIME, one_scene
from processing.readers.rpc_files import RpcDocument, read_rpc_document

_SUFFIXES = (".xml", ".txt", ".rpb", ".json")


class RpcFileReader:
    """Reads an RPC file handed in by itself: metadata only."""

    format = "rpc-file"

    def claims(self, files: PackageFiles) -> bool:
        """Whether the package is one file that may be an RPC file."""
        return len(files.paths) == 1 and bool(files.ending(*_SUFFIXES))

    def read(self, files: PackageFiles, sensors: Mapping[str, SensorConfig], *, pixels: bool) -> Delivery:  # noqa: ARG002 - there are none
        """The model, understood; see :class:`processing.readers.protocol.SceneReader`."""
        path = files.absolute(files.paths[0])
        found = read_rpc_document(path)
        doubts = check_model(
            found.rpc, shape=_domain(found.rpc), direct=found.direct, domain=found.domain, where=path.name
        )
        claims = sensor_claims(sensors, format_name=self.format, profile=found.profile, mission=found.profile)
        scene = _scene(path, found, claims[0] if len(claims) == 1 else None)
        scene = scene.but(warnings=scene.warnings + doubts)
        if len(claims) > 1:
            # The file does not tell twins apart (Pleiades 1A and 1B): say so, rather than choose.
            scene = scene.but(mission=" or ".join(sorted(claim.sensor.mission for claim in claims)))
        return one_scene(files, self.format, scene, path)


def _scene(path: Path, found: RpcDocument, known: KnownSensor | None) -> Scene:
    plain = Scene(
        scene_id=path.stem,
        mission=known.sensor.mission if known else UNKNOWN_MISSION,
        sensor=known.sensor.id if known else UNKNOWN_MISSION,
        group="unknown",
        level=Level.SENSOR,
        acquired=UNKNOWN_TIME,
        bands=(),
        shape=_domain(found.rpc),
        angles=Angles(),
        footprint=model_footprint(found.rpc, _domain(found.rpc)),
        model=found.rpc,
        profile=found.profile,
        platform_facts={"dialect": found.dialect},
        no_pixels="an RPC file by itself: a sensor model without its image",
        warnings=("the size of the image is the RPC's own domain",),
    )
    if found.dialect == "worldview-isd" and found.document is not None:
        return _with_isd(plain, found.document, known)
    if found.dialect == "rpcm-json":
        return _with_json(plain, path)
    return plain.but(warnings=(*plain.warnings, "the acquisition time and the bands are unknown"))


def _domain(rpc: Rpc) -> tuple[int, int]:
    """Lines and samples up to the end of the RPC's domain."""
    return round(rpc.line_off + rpc.line_scale), round(rpc.sample_off + rpc.sample_scale)


def _with_isd(scene: Scene, document: XmlNode, known: KnownSensor | None) -> Scene:
    """A WorldView ISD describes its image in full."""
    imd, image = document.need("IMD"), document.need("IMD/IMAGE")
    labels = [child.tag.removeprefix("BAND_") for child in imd.element if child.tag.startswith("BAND_")]
    bands = tuple(_isd_band(known, label, imd.need(f"BAND_{label}"), document.file) for label in labels)
    corner = imd.need(f"BAND_{labels[0]}") if labels else imd
    level = Level.SYSTEM if "2A" in (imd.maybe("PRODUCTLEVEL") or "") else Level.SENSOR
    shape = (imd.integer("NUMROWS"), imd.integer("NUMCOLUMNS"))
    return scene.but(
        scene_id=image.maybe("CATID") or scene.scene_id,
        group=band_group(known, [band.name for band in bands], document.file) if known else scene.group,
        level=level,
        acquired=image.time("FIRSTLINETIME"),
        bands=bands,
        shape=shape,
        angles=Angles(
            sun_zenith_deg=90.0 - image.number("MEANSUNEL"),
            sun_azimuth_deg=image.number("MEANSUNAZ"),
            view_zenith_deg=90.0 - image.number("MEANSATEL"),
            view_azimuth_deg=image.number("MEANSATAZ"),
            off_nadir_deg=image.maybe_number("MEANOFFNADIRVIEWANGLE"),
        ),
        footprint=tuple((corner.number(f"{at}LON"), corner.number(f"{at}LAT")) for at in ("UL", "UR", "LR", "LL")),
        platform_facts=dict(scene.platform_facts) | {"product_level": imd.maybe("PRODUCTLEVEL") or ""},
        warnings=(),
    )


def _isd_band(known: KnownSensor | None, label: str, node: XmlNode, where: str) -> Band:
    """Radiance is DN * ABSCALFACTOR / EFFECTIVEBANDWIDTH (W m-2 sr-1 um-1)."""
    if known is None:
        return Band(name=f"band_{label.lower()}", label=label)
    found = calibration(
        known,
        label,
        gain=node.number("ABSCALFACTOR") / node.number("EFFECTIVEBANDWIDTH"),
        bias=0.0,
        esun=None,
        calibrated_on=None,
        where=where,
    )
    return build_band(known, label, found)


def _compact_time(text: str, where: str) -> datetime:
    """UTC time of ``20141005160138``."""
    digits = f"{text[:8]}T{text[8:]}" if re.fullmatch(r"\d{14}", text) else text
    return utc(digits, where)


def _with_json(scene: Scene, path: Path) -> Scene:
    """The JSON of rpcm and its data sets may also tell size, sun and time."""
    found = json.loads(path.read_text(encoding="utf-8"))
    try:
        moment = (
            _compact_time(str(found["acquisition_date"]), path.name) if "acquisition_date" in found else UNKNOWN_TIME
        )
        shape = (int(found["height"]), int(found["width"])) if "height" in found else scene.shape
        angles = Angles(
            sun_zenith_deg=90.0 - float(found["sun_elevation"]) if "sun_elevation" in found else None,
            sun_azimuth_deg=float(found["sun_azimuth"]) if "sun_azimuth" in found else None,
        )
    except (TypeError, ValueError, KeyError) as error:
        raise BadInput(f"'{path.name}' describes its image wrongly: {error}", kind="schema", where=path.name) from error
    model = scene.model
    return scene.but(
        acquired=moment,
        shape=shape,
        angles=angles,
        footprint=model_footprint(model, shape) if isinstance(model, Rpc) else scene.footprint,
        warnings=() if moment != UNKNOWN_TIME else scene.warnings,
    )

"""The folder of a KazEOSat-1 delivery: volume, images in tiles, models, lineage, masks, pictures."""

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from xml.etree.ElementTree import Element

from processing.testing.dimap2.masks import write_masks
from processing.testing.dimap2.product import component, identification, product_document, stamp
from processing.testing.dimap2.radiometry import TILE_PX
from processing.testing.dimap2.rpc_document import rpc_document
from processing.testing.exposure import Exposure
from processing.testing.pictures import write_picture
from processing.testing.tiff import write_counts
from processing.testing.xml_tree import leaves, node, write_xml

MISSION = "DZHR1"
"""The mission's code in file names and data-set ids."""


def package_name(exposures: tuple[Exposure, ...]) -> str:
    """``DS_DZHR1_<UTC to 0.1 s>_<station>_<lon/lat cell>_<serial>``: the acquisition's data-set id."""
    exposure = exposures[0]
    lon, lat = exposure.centre
    cell = f"{'E' if lon >= 0 else 'W'}{int(abs(lon)):03d}{'N' if lat >= 0 else 'S'}{int(abs(lat)):02d}"
    start = _start(exposure)
    moment = f"{start:%Y%m%d%H%M%S}{start.microsecond // 100000}"
    return f"DS_{MISSION}_{moment}_{exposure.instrument.station}_{cell}_{_serial(exposure)}"


def write_package(folder: Path, exposures: tuple[Exposure, ...], report: Callable[[str], None]) -> None:
    """Write the delivery of one acquisition.

    Parameters
    ----------
    folder
        Of the package; it must not exist.
    exposures
        Its images: multispectral and, where taken, panchromatic.
    report
        Told of each step in words.
    """
    volume = folder / f"VOL_{MISSION}_SEN_001_{_serial(exposures[0])}"
    products = []
    for exposure in exposures:
        report(f"writing the {exposure.array.group} image")
        products.append(_write_image(volume, exposure, folder.name))
    volume_file = f"{MISSION}_VOL.XML"
    write_xml(volume / volume_file, _listing(f"{MISSION} Volume Description", exposures[0], products))
    contents = [component(volume.name, f"{volume.name}/{volume_file}")]
    write_xml(folder / f"{MISSION}_LIST.XML", _listing("Product Description", exposures[0], contents))
    _write_checksums(folder)


def _spectral(exposure: Exposure) -> str:
    return "P" if exposure.array.group == "pan" else "MS"


def _serial(exposure: Exposure) -> str:
    return f"{exposure.acquisition.orbit % 1000000:06d}"


def _start(exposure: Exposure) -> datetime:
    return exposure.acquisition.moment(float(exposure.camera.seconds_at(0.5)))


def _write_image(volume: Path, exposure: Exposure, dataset: str) -> Element:
    """Write one IMG_ folder; its entry in the volume's listing."""
    spectral, serial = _spectral(exposure), _serial(exposure)
    folder = volume / f"IMG_{MISSION}_SEN_{spectral}_{serial}"
    folder.mkdir(parents=True)
    name = f"{MISSION}_{_start(exposure):%Y%m%d%H%M%S}_SEN_{spectral}_{serial}"
    tiles = _write_tiles(folder, name, exposure)
    write_xml(folder / f"RPC_{name}.XML", rpc_document(exposure))
    masks = write_masks(folder / "MASKS", name, dataset, exposure)
    shown = exposure.counts if len(exposure.counts) == 1 else exposure.counts[[2, 1, 0]]
    write_picture(folder / f"PREVIEW_{name}.JPG", shown, 1000)
    write_picture(folder / f"ICON_{name}.JPG", shown, 128)
    write_xml(folder / "LINEAGE" / f"PROCESSING_{name}_DIM.XML", _processing_lineage(exposure))
    write_xml(folder / "LINEAGE" / f"STRIP_{dataset}_DIM.XML", _strip_lineage(exposure, dataset))
    document = product_document(exposure, dataset=dataset, name=name, spectral=spectral, tiles=tiles, masks=masks)
    write_xml(folder / f"DIM_{name}.XML", document)
    entry = component(f"SENSOR {spectral} {dataset}", f"{folder.name}/DIM_{name}.XML")
    entry.append(node("COMPONENT_TN_PATH", href=f"{folder.name}/ICON_{name}.JPG"))
    entry.append(node("COMPONENT_TN_FORMAT", "image/jpeg"))
    return entry


def _write_tiles(folder: Path, name: str, exposure: Exposure) -> tuple[tuple[int, int, str], ...]:
    """Write the pixels; row, column and file name of each tile, counted from 1."""
    _, lines, samples = exposure.counts.shape
    tiles = []
    for row, top in enumerate(range(0, lines, TILE_PX), start=1):
        for column, left in enumerate(range(0, samples, TILE_PX), start=1):
            path = folder / f"IMG_{name}_R{row}C{column}.TIF"
            write_counts(path, exposure.counts[:, top : top + TILE_PX, left : left + TILE_PX])
            tiles.append((row, column, path.name))
    return tuple(tiles)


def _listing(title: str, exposure: Exposure, components: Iterable[Element]) -> Element:
    return node(
        "Dimap_Document",
        [
            identification("DATASET"),
            node("Dataset_Identification", leaves(DATASET_NAME=title, DATASET_ID=1)),
            node(
                "Product_Information",
                [
                    node("Producer_Information", leaves(PRODUCER_NAME="Qyran simulator")),
                    node("Delivery_Identification", leaves(PRODUCTION_DATE=stamp(_start(exposure)))),
                ],
            ),
            node("Dataset_Components", components),
        ],
    )


def _processing_lineage(exposure: Exposure) -> Element:
    steps = ("DECOMPRESSION", "EQUALIZATION")
    return node(
        "Dimap_Document",
        [
            identification("KZ1_SENSOR"),
            node(
                "Processing_Step_List",
                [node("Processing_Step", leaves(PROCESSING_NAME=step, TIME=stamp(_start(exposure)))) for step in steps],
            ),
            node("Processing_Parameter_List", leaves(PROCESSING_LEVEL="SENSOR")),
        ],
    )


def _strip_lineage(exposure: Exposure, dataset: str) -> Element:
    acquisition = exposure.acquisition
    tle = exposure.instrument.tle
    return node(
        "Dimap_Document",
        [
            identification("KZ1_SENSOR"),
            node("Dataset_Identification", leaves(DATASET_NAME=dataset, DATASET_TYPE="RASTER_STRIP")),
            node(
                "Catalog",
                leaves(
                    ORBIT_NUMBER=acquisition.orbit,
                    IMAGING_MODE="STRIP",
                    ROLL=acquisition.roll_deg,
                    PITCH=acquisition.pitch_deg,
                    TLE_LINE_1=tle.line1,
                    TLE_LINE_2=tle.line2,
                ),
            ),
        ],
    )


def _write_checksums(folder: Path) -> None:
    """SHA-256 of every file, in the format of ``sha256sum -c``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}" for path in files
    ]
    (folder / f"{MISSION}_CHECKSUM.SHA256").write_text("\n".join(lines) + "\n", encoding="ascii")

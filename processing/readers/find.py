"""Finds the reader that understands a package."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from configs.schema import SensorConfig
from processing.model.errors import BadInput
from processing.model.scene import Delivery
from processing.readers.dimap import DimapReader
from processing.readers.dimap_v1 import DimapV1Reader
from processing.readers.dimap_xml import read_xml
from processing.readers.geotiff_rpc import GeotiffRpcReader
from processing.readers.inventory import missing_package
from processing.readers.package import PackageFiles, list_folder, single_file
from processing.readers.protocol import SceneReader
from processing.readers.rpc_only import RpcFileReader
from processing.readers.sentinel2 import Sentinel2Reader
from processing.readers.unpack import is_archive, unpack

READERS: tuple[SceneReader, ...] = (
    DimapReader(),
    DimapV1Reader(),
    Sentinel2Reader(),
    GeotiffRpcReader(),
    RpcFileReader(),
)
"""In order of asking: formats that describe themselves come before those that are recognised by their pixels."""


def open_delivery(
    package: Path,
    *,
    sensors: Mapping[str, SensorConfig],
    workspace: Path | None = None,
    pixels: bool = True,
) -> Delivery:
    """Understand a delivered package; decodes no pixel.

    Parameters
    ----------
    package
        A folder, a zip or tar archive, a GeoTIFF or JPEG 2000 file, or an RPC file.
    sensors
        Known sensors, by id.
    workspace
        Existing folder where an archive is unpacked. Default: a new temporary folder, which the caller removes
        (``Delivery.root`` lies in it).
    pixels
        Whether to attach lazy pixels.

    Raises
    ------
    BadInput
        For anything wrong with the package: missing, of no known format, damaged, hostile, contradictory.
    """
    files = _files(package, workspace)
    refuse_document_types(files)
    for reader in READERS:
        if reader.claims(files):
            return reader.read(files, sensors, pixels=pixels)
    raise BadInput(
        f"'{package.name}' is no package of a known format ({len(files.paths)} files)",
        kind="package.unknown",
        where=package.name,
        remedy=f"Known formats: {', '.join(reader.format for reader in READERS)}.",
    )


def _files(package: Path, workspace: Path | None) -> PackageFiles:
    if package.is_dir():
        return list_folder(package)
    if not package.is_file():
        raise missing_package(package)
    if not is_archive(package):
        return single_file(package)
    target = workspace if workspace is not None else Path(tempfile.mkdtemp(prefix="qyran-"))
    files = list_folder(unpack(package, target))
    return PackageFiles(package=package, root=files.root, paths=files.paths)


def refuse_document_types(files: PackageFiles) -> None:
    """Refuse XML with a document type definition wherever it lies: no metadata of the trade needs one.

    Raises
    ------
    BadInput
        ``xml.dtd_forbidden``, or what else is wrong with that XML.
    """
    for path in files.ending(".xml", ".dim", ".safe"):
        with path.open("rb") as file:
            head = file.read(65536).replace(b"\0", b"")
        if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
            read_xml(path)

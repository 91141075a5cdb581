"""The folder of a KazEOSat-2 delivery: one product document, one TIFF with RPC tags, a manifest, two pictures."""

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import Element

from processing.testing.dimap1.product import product_document
from processing.testing.exposure import Exposure
from processing.testing.pictures import write_picture
from processing.testing.tiff import write_counts
from processing.testing.xml_tree import node, write_xml, xml_bytes

_EARLIEST_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def package_name(exposures: tuple[Exposure, ...]) -> str:
    """``KM<acquisition>MI_<strip>_MUL_L1R``, the grammar of Keystone product codes."""
    acquisition = exposures[0].acquisition
    return f"KM{acquisition.orbit & 0xFFFFFF:06x}MI_{acquisition.number + 1:03d}_MUL_L1R"


def write_package(folder: Path, exposures: tuple[Exposure, ...], report: Callable[[str], None]) -> None:
    """Write the delivery of one acquisition.

    Parameters
    ----------
    folder
        Of the package; it must not exist.
    exposures
        Its one multispectral image.
    report
        Told of each step in words.
    """
    (exposure,) = exposures
    folder.mkdir(parents=True)
    name = folder.name
    report(f"writing the {exposure.array.group} image")
    write_counts(folder / f"{name}.tif", exposure.counts, exposure.rpc)
    shown = exposure.counts[[2, 1, 0]]
    write_picture(folder / f"{name}_browse.jpg", shown, 1000)
    write_picture(folder / f"{name}_thumb.jpg", shown, 128)
    write_xml(folder / f"{name}.dim", product_document(exposure, name), "ISO-8859-1")
    _write_manifest(folder, name)


def _write_manifest(folder: Path, name: str) -> None:
    """``_meta.sip``: a zip of ``repository.xml``, which lists the files with their digests."""
    entries = [
        node("File", None, name=path.name, size=str(path.stat().st_size), sha256=_digest(path))
        for path in sorted(folder.iterdir())
    ]
    repository: Element = node("Repository", entries, product=name)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        # A fixed date, so that the same files give the same bytes.
        archive.writestr(zipfile.ZipInfo("repository.xml", _EARLIEST_ZIP_DATE), xml_bytes(repository))
    (folder / f"{name}_meta.sip").write_bytes(buffer.getvalue())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

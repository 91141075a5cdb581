"""Questions about a package or the catalogue that need no flow."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from configs.registry import load_registry
from configs.settings import Home
from processing.readers.checksums import verify_delivery
from processing.readers.describe import describe
from processing.readers.find import open_delivery
from processing.readers.inventory import inventory, package_digest


def package_info(package: Path, home: Path | None) -> dict[str, Any]:
    """All that a package states about itself, JSON-ready; its integrity by a full inventory.

    Raises
    ------
    BadInput
        If no reader understands it, or it is damaged.
    """
    sensors = load_registry(Home.resolve(home).configs).sensors
    # An archive is unpacked to be understood; nothing of it stays behind.
    with TemporaryDirectory(prefix="qyran-info-") as workspace:
        delivery = open_delivery(package, sensors=sensors, workspace=Path(workspace), pixels=False)
        files = inventory(package)
        checked = verify_delivery(delivery, files)
    return describe(delivery) | {
        "integrity": {
            "files": len(files),
            "bytes": sum(file.size for file in files),
            "sha256": package_digest(files),
            "checksums_verified": checked,
        }
    }

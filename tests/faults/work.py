"""The work that faults are injected into: one small product from its draft to its row in the catalogue, for real."""

import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dask

from catalogs import item as stac_item
from catalogs import open_store
from configs.registry import Registry, load_registry
from configs.settings import Home
from pipelines.catalogue import catalogue_product
from pipelines.outcomes import Stop
from pipelines.packages import quarantine_package
from pipelines.rebuild import rebuild_catalogue
from pipelines.recovery import recover_home
from processing.archive import record, write
from processing.model.lineage import Lineage
from processing.model.product import Product, ProductDraft
from processing.model.quality import Outcome
from tests.archive import synthetic

NAMES = ("pan",)
SHAPE = (48, 60)


def registry() -> Registry:
    """The shipped configuration, without an operator's."""
    return load_registry(Path("nobody's"))


def draft(number: int = 1, *, resampling: str = "cubic", package: str = "") -> ProductDraft:
    """A scene; each number is another one, each resampling another revision, each package other bytes."""
    lineage: Lineage = synthetic.lineage(package or f"{number % 256:02x}", resampling=resampling)
    return synthetic.draft(
        NAMES, item=f"KZ1_20260424T052011_{number:08d}_L1C", lineage=lineage, visual=NAMES, visual_range=(0.0, 0.4)
    )


def publish(home: Path, what: ProductDraft, *, seed: int = 1) -> Product:
    """Compute it into the archive, and nothing else."""
    image = synthetic.image(synthetic.values(SHAPE, 1, seed), synthetic.geobox(SHAPE), NAMES, group="pan")
    with dask.config.set(scheduler="synchronous"):
        return write.publish_product(home, what, [image])


def ingest(home: Path, what: ProductDraft, known: Registry, *, seed: int = 1) -> Product:
    """Compute it into the archive and put it in the catalogue. What this returns is acknowledged."""
    product = publish(home, what, seed=seed)
    catalogue_product(product, Home(home), known)
    return product


def perform(home: Path, order: dict[str, Any], known: Registry) -> str:
    """One step of those that people and schedules take; what it has to say."""
    if "clock" in order:
        _set_clock(timedelta(days=order["clock"]))
    if "blind" in order:  # nobody asks beforehand how much room there is
        write.require_space = lambda *_, **__: None
    return _STEPS[order["step"]](home, order, known)


def _asked(order: dict[str, Any]) -> ProductDraft:
    return draft(order.get("number", 1), resampling=order.get("resampling", "cubic"), package=order.get("package", ""))


def _ingest(home: Path, order: dict[str, Any], known: Registry) -> str:
    return ingest(home, _asked(order), known, seed=order.get("number", 1)).revision


def _publish(home: Path, order: dict[str, Any], _: Registry) -> str:
    return publish(home, _asked(order), seed=order.get("number", 1)).revision


def _recover(home: Path, order: dict[str, Any], known: Registry) -> str:
    return "\n".join(str(one) for one in recover_home(Home(home), known, thorough=order.get("thorough", False)))


def _rebuild(home: Path, _: dict[str, Any], known: Registry) -> str:
    return rebuild_catalogue(Home(home), known).model_dump_json()


def _delete(home: Path, order: dict[str, Any], _: Registry) -> str:
    """What an operator's hand does: first nobody can find it, then it is not there."""
    what = _asked(order)
    with closing(open_store(home / "catalogue")) as store:
        store.delete_item(what.collection, what.id)
    (home / "archive" / what.collection / f"{what.id}.zarr").unlink(missing_ok=True)
    for folder in (home / "products" / what.collection / what.id, *home.glob(f"archive/*/*/*/*/{what.id}")):
        shutil.rmtree(folder, ignore_errors=True)
    return ""


def _quarantine(home: Path, order: dict[str, Any], _: Registry) -> str:
    stop = Stop(outcome=Outcome.QUARANTINED, reason="xml.dtd_forbidden", message="it holds a DTD")
    return str(quarantine_package(Path(order["package"]), Home(home), stop))


def _set_clock(shift: timedelta) -> None:
    """This process from now on lives in another time."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(UTC).astimezone(tz) + shift

    for module in (record, stac_item):
        module.datetime = Shifted


_STEPS: dict[str, Callable[[Path, dict[str, Any], Registry], str]] = {
    "ingest": _ingest, "publish": _publish, "recover": _recover, "rebuild": _rebuild, "delete": _delete,
    "quarantine": _quarantine,
}  # fmt: skip

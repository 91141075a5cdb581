"""The main job in one command: simulated deliveries with known truth, processed like any other, and measured."""

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from catalogs.store.protocol import SearchRequest
from configs.settings import Home
from pipelines.catalogue import find_product, store_of
from pipelines.grids import geobox_of
from pipelines.observe import Report
from pipelines.outcomes import PackageOutcome
from pipelines.prefect_env import prepare_prefect, server_starting
from pipelines.requests import EVERY_RECIPE, SceneRequest
from pipelines.run import process_packages
from processing.archive.layout import ProductPaths
from processing.archive.open import open_product
from processing.model.angle_layers import ANGLES
from processing.model.product import Product, StoredGroup
from processing.model.quality import Outcome
from processing.testing.measure import measure, measure_ndvi
from processing.testing.simulate import SimulationReport, simulate

LIMIT_RMSE_PX = 0.1
LIMIT_TOA_PERCENT = 1.0
LIMIT_NDVI = 0.01
"""Median error. Single pixels also carry the sensor's noise."""
SEED = 1
_OTHER_BYTES = ". Another version of the simulator worked here: give --home another folder, or remove this one"


@dataclass(frozen=True, slots=True)
class Pass:
    """One simulated acquisition of the demo."""

    sensor: str
    size: int
    """Lines and samples of the multispectral image."""


PASSES = (Pass("kazeosat-1-naomi", 1000), Pass("kazeosat-2-keis", 1600))


class Measured(BaseModel):
    """Error of one group of a product against the truth, over clear land. None: does not apply."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str
    rmse_px: float | None = None
    """Geolocation, the simulated camera's known pointing bias taken out."""
    ce90_px: float | None = None
    patches: int | None = None
    toa_percent: float | None = None
    """Worst band's median relative error of reflectance."""
    ndvi_median: float | None = None
    ndvi_rmse: float | None = None


class DemoProduct(BaseModel):
    """One row of the closing table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collection: str
    id: str
    archive: str
    files: str
    megabytes: float
    seconds: float
    """Of the whole run of the package it comes from."""
    measured: list[Measured]
    """Against the truth, by measurement group."""


class DemoResult(BaseModel):
    """What the demo did, and how accurate it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: str
    seconds: float
    simulation_seconds: float
    outcomes: list[PackageOutcome]
    products: list[DemoProduct]
    catalogued: int
    shortcomings: list[str]
    """What is not as it must be; empty when all is well."""

    @property
    def ok(self) -> bool:
        """Whether everything went as it must."""
        return not self.shortcomings


def run_demo(
    home: Path | None, *, report: Report, say: Callable[[str], object], passes: Sequence[Pass] = PASSES
) -> DemoResult:
    """Simulate, process, derive, catalogue, measure.

    Parameters
    ----------
    home
        Installation to work in; None: the one of the surroundings. Deliveries and truth go to ``home/demo``.
    passes
        What to simulate; a broken copy of the last one's package is added.
    report, say
        Where progress and single lines for a person go.
    """
    started = time.monotonic()
    place = Home.resolve(home)
    prepare_prefect(place.prefect)
    say(f"simulating a delivery of {len(passes)} satellites near Almaty, with its truth")
    with server_starting():
        simulated = [_simulated(place, planned, report) for planned in passes]
        requests = [_request(place, package, delivery.dem) for delivery in simulated for package in delivery.packages]
        requests.append(_request(place, _broken_copy(place, simulated[-1].packages[0]), simulated[-1].dem))
    simulation_seconds = time.monotonic() - started
    say(f"processing {len(requests)} packages, one of them broken on purpose")
    outcomes = []
    for outcome in process_packages(requests, report=report):
        outcomes.append(outcome)
        say(f"  {outcome.outcome}: {Path(outcome.package).name} {' '.join(outcome.reasons)}")
    say("measuring against the truth")
    truths = [truth for delivery in simulated for truth in delivery.truths]
    products = [
        _measured(place, link.collection, link.id, truth, outcome.seconds)
        for outcome, truth in zip(outcomes, truths, strict=False)
        for link in outcome.items
    ]
    return DemoResult(
        home=str(place.path),
        seconds=round(time.monotonic() - started, 1),
        simulation_seconds=round(simulation_seconds, 1),
        outcomes=outcomes,
        products=products,
        catalogued=_catalogued(place),
        shortcomings=_shortcomings(outcomes, products),
    )


def _simulated(home: Home, planned: Pass, report: Report) -> SimulationReport:
    return simulate(
        home.path / "demo" / planned.sensor, sensor=planned.sensor, size=planned.size, seed=SEED, progress=report
    )


def _request(home: Home, package: Path, dem: Path) -> SceneRequest:
    return SceneRequest(package=str(package), home=str(home.path), dem=str(dem), derive=[EVERY_RECIPE])


def _broken_copy(home: Home, package: Path) -> Path:
    """The same delivery as if the transfer broke off: its largest file ends too soon."""
    broken = home.path / "demo" / "broken" / package.name
    shutil.rmtree(broken, ignore_errors=True)
    shutil.copytree(package, broken)
    largest = max((path for path in broken.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    with largest.open("r+b") as file:
        file.truncate(largest.stat().st_size * 6 // 10)
    return broken


def _measured(home: Home, collection: str, item_id: str, truth: Path, seconds: float) -> DemoProduct:
    product = find_product(home, f"{collection}/{item_id}")
    paths = ProductPaths.of(home.path, product)
    return DemoProduct(
        collection=collection,
        id=item_id,
        archive=str(paths.link),
        files=str(paths.files),
        megabytes=round((_bytes(paths.store) + _bytes(paths.files)) / 1e6, 1),
        seconds=round(seconds, 1),
        measured=_against_truth(home, product, truth),
    )


def _against_truth(home: Home, product: Product, truth: Path) -> list[Measured]:
    found = []
    for group in product.groups:
        if group.name == ANGLES:
            continue  # no image: the truth holds no such pixels
        names = [band.name for band in product.bands if band.group == group.name]
        opened = open_product(home.path / product.archive_href, group=group.name)
        bands = {name: opened[name].to_numpy() for name in names}
        found.append(_measured_group(group, bands, truth))
    return found


def _measured_group(group: StoredGroup, bands: dict[str, Any], truth: Path) -> Measured:
    transform = geobox_of(group).affine
    if "ndvi" in bands:
        median, rmse = measure_ndvi(bands["ndvi"], transform, group.crs, truth)
        return Measured(group=group.name, ndvi_median=median, ndvi_rmse=rmse)
    accuracy = measure(bands, transform, group.crs, truth)
    return Measured(
        group=group.name,
        rmse_px=accuracy.rmse_px,
        ce90_px=accuracy.ce90_px,
        patches=accuracy.patches,
        toa_percent=accuracy.toa_error_percent,
    )


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _catalogued(home: Home) -> int:
    with closing(store_of(home)) as store:
        return store.search(SearchRequest(limit=1, count=True)).matched or 0


def _shortcomings(outcomes: list[PackageOutcome], products: list[DemoProduct]) -> list[str]:
    """What the demo promises and did not keep, in words."""
    found = [
        f"{Path(outcome.package).name} ended as {outcome.outcome}: {outcome.message}"
        + (_OTHER_BYTES if "id.conflict" in outcome.reasons else "")
        for outcome in outcomes[:-1]
        if outcome.outcome is not Outcome.PUBLISHED
    ]
    if outcomes[-1].outcome is not Outcome.QUARANTINED:
        found.append(f"the broken package ended as {outcomes[-1].outcome}")
    for product in products:
        for measured in product.measured:
            figures = (
                ("geolocation", measured.rmse_px, LIMIT_RMSE_PX, "px RMSE"),
                ("reflectance", measured.toa_percent, LIMIT_TOA_PERCENT, "%"),
                ("NDVI", measured.ndvi_median, LIMIT_NDVI, ""),
            )
            found += [
                f"{product.id} {measured.group}: {what} is off by {value:.3f} {unit}, more than {limit}".rstrip()
                for what, value, limit, unit in figures
                if value is not None and abs(value) > limit
            ]
    return found

"""Run flows here and now, in this process: what ``qyran process`` and ``qyran demo`` do."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.registry import load_registry
from configs.settings import Home
from pipelines.observe import Report, reporting_to
from pipelines.outcomes import PackageOutcome, ReprocessOutcome, failure_of
from pipelines.prefect_env import flows_in_this_process, prepare_prefect, server_starting
from pipelines.requests import EVERY_RECIPE, ReprocessRequest, SceneRequest, VerticalDatumChoice
from processing.model.errors import BadInput

if TYPE_CHECKING:
    from pipelines.composite_request import CompositeRequest

log = logging.getLogger(__name__)


def scene_requests(
    packages: Sequence[Path],
    *,
    home: Path | None,
    dem: Path | None,
    vertical_datum: VerticalDatumChoice,
    recipe: str | None,
    lines: tuple[int, int] | None = None,
) -> list[SceneRequest]:
    """One request for each package.

    Parameters
    ----------
    recipe
        None: l1c, then every derived product whose bands the sensor has. A derived recipe: that one, after the
        product it derives from. Any other: that one alone.
    lines
        First line (from 1) and number of lines of a segment; None: the whole image.

    Raises
    ------
    BadInput
        ``recipe.unknown`` for a recipe that is not configured.
    """
    place = Home.resolve(home)
    made, derived = "l1c", [EVERY_RECIPE]
    if recipe is not None:
        recipes = load_registry(place.configs).recipes
        if recipe not in recipes:
            raise BadInput(
                f"there is no recipe '{recipe}'", kind="recipe.unknown", remedy=f"Known: {', '.join(recipes)}."
            )
        parent = recipes[recipe].parent
        made, derived = (recipe, []) if parent is None else (parent, [recipe])
    return [
        SceneRequest(
            package=str(package.resolve()),
            home=str(place.path),
            dem=str(dem.resolve()) if dem else "",
            vertical_datum=vertical_datum,
            recipe=made,
            derive=derived,
            first_line=lines[0] if lines else None,
            lines=lines[1] if lines else None,
        )
        for package in packages
    ]


def process_packages(requests: Sequence[SceneRequest], *, report: Report | None) -> Iterator[PackageOutcome]:
    """Run ``process-scene`` for each request, one after the other: one that fails stops no other."""
    if not requests:
        return
    prepare_prefect(Home.resolve(requests[0].home_path).prefect)
    if report is not None:
        report(0, 1, "starting Prefect")
    with server_starting():
        from pipelines.process import process_scene
        from pipelines.recovery import recover_at_start

        recover_at_start(Home.resolve(requests[0].home_path))
    with flows_in_this_process():
        for request in requests:
            yield _process(process_scene, request, report)


def _process(flow: Callable[[SceneRequest], object], request: SceneRequest, report: Report | None) -> PackageOutcome:
    started = time.monotonic()
    with reporting_to(report):
        try:
            return PackageOutcome.model_validate(flow(request))
        except Exception as error:
            log.debug("process-scene failed for %s", request.package, exc_info=True)
            outcome = failure_of(request.package, error)
            return outcome.model_copy(update={"seconds": round(time.monotonic() - started, 3)})


def compose(request: "CompositeRequest", *, report: Report | None) -> PackageOutcome:
    """Run ``build-composite``."""
    prepare_prefect(Home.resolve(request.home_path).prefect)
    if report is not None:
        report(0, 1, "starting Prefect")
    with server_starting():
        from pipelines.composite import build_composite
    with flows_in_this_process(), reporting_to(report):
        return PackageOutcome.model_validate(build_composite(request))


def reprocess_items(request: ReprocessRequest, *, report: Report | None) -> list[ReprocessOutcome]:
    """Run ``reprocess``.

    Raises
    ------
    BadInput
        As :func:`pipelines.selection.selected`.
    """
    prepare_prefect(Home.resolve(request.home_path).prefect)
    if report is not None:
        report(0, 1, "starting Prefect")
    with server_starting():
        from pipelines.reprocess import reprocess
    with flows_in_this_process(), reporting_to(report):
        records: Any = reprocess(request)
    return [ReprocessOutcome.model_validate(record) for record in records]

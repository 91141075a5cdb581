"""Flows as Prefect deployments: what an operator starts from a form, and what a schedule starts by itself."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron, Schedule
from prefect.types.entrypoint import EntrypointType

from pipelines.keep import keep_archive
from pipelines.prefect_env import WORK_POOL
from pipelines.process import process_scene
from pipelines.products import derive_product
from pipelines.reprocess import reprocess

TAGS = ("qyran",)

FLOWS: tuple[Flow[Any, Any], ...] = (process_scene, derive_product, reprocess, keep_archive)

SCHEDULES: Mapping[str, tuple[Schedule, ...]] = {
    "keep-archive": (Cron("30 2 * * *", timezone="Asia/Almaty", slug="nightly", parameters={"request": {}}),)
}
"""What runs by itself, by the flow's name."""


def deployment_of(flow: Flow[Any, Any], *, schedules: Sequence[Schedule] | None = None) -> RunnerDeployment:
    """A flow's deployment of the same name, with the schedules given, else those it has by itself.

    The entry point is a module path of the installed package: runs start in a temporary folder, where no relative
    path would be found. Every schedule needs a slug, or registering again is refused.
    """
    if schedules is None:
        schedules = SCHEDULES.get(flow.name, ())
    unnamed = [schedule for schedule in schedules if not schedule.slug]
    if unnamed:
        raise ValueError(f"schedules of {flow.name} need a slug: {unnamed}")
    return RunnerDeployment.from_flow(
        flow,
        name=flow.name,
        description=flow.description,
        tags=list(TAGS),
        schedules=list(schedules),
        work_pool_name=WORK_POOL,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def register(deployments: Sequence[RunnerDeployment]) -> list[UUID]:
    """Make the work pool and the deployments, or bring them up to date. Needs a running server."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process"), overwrite=True)
    # Outside an event loop ``apply`` returns the id itself, not a coroutine; its annotation allows both.
    return [UUID(str(deployment.apply())) for deployment in deployments]

"""Flows as Prefect deployments: what an operator starts from a form, and what a schedule starts by itself."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron, Schedule
from prefect.types.entrypoint import EntrypointType

from configs.registry import load_registry
from configs.settings import Home
from pipelines import fork_client
from pipelines.composite import build_composite
from pipelines.day import day_report
from pipelines.decide import decide_held
from pipelines.deliver import deliver_order
from pipelines.forms import choices, offer
from pipelines.keep import keep_archive
from pipelines.limits import BACKGROUND, NEAR_REAL_TIME, ORDINARY, set_queues
from pipelines.passes_plan import plan_passes
from pipelines.passes_run import process_pass
from pipelines.prefect_env import WORK_POOL
from pipelines.process import process_scene
from pipelines.products import derive_product
from pipelines.reprocess import reprocess
from pipelines.subscriptions import serve_subscriptions
from pipelines.watch import watch_landing

TAGS = ("qyran",)
TAGS_OF: Mapping[str, tuple[str, ...]] = {
    "process-scene": ("scenes",),
    "watch-landing": ("landing", "scheduled"),
    "decide-held": ("desk",),
    "derive-product": ("products",),
    "build-composite": ("products",),
    "reprocess": ("scenes", "products"),
    "keep-archive": ("archive", "scheduled"),
    "plan-passes": ("passes", "scheduled"),
    "day-report": ("reports", "scheduled"),
    "process-pass": ("passes",),
    "deliver-order": ("orders",),
    "serve-subscriptions": ("orders", "scheduled"),
}
"""By which an operator finds a flow."""

FLOWS: tuple[Flow[Any, Any], ...] = (
    process_scene,
    watch_landing,
    decide_held,
    derive_product,
    build_composite,
    deliver_order,
    serve_subscriptions,
    reprocess,
    keep_archive,
    plan_passes,
    process_pass,
    day_report,
)

SCHEDULES: Mapping[str, tuple[Schedule, ...]] = {
    "keep-archive": (Cron("30 2 * * *", timezone="Asia/Almaty", slug="nightly", parameters={"request": {}}),),
    # Where something lands, or is due, a bell is rung at once (pipelines.bell): these are for where nobody rings.
    "watch-landing": (Cron("*/5 * * * *", timezone="Asia/Almaty", slug="now-and-then", parameters={"request": {}}),),
    "deliver-order": (Cron("*/20 * * * *", timezone="Asia/Almaty", slug="what-is-due", parameters={"request": {}}),),
    "serve-subscriptions": (
        Cron("10-50/20 * * * *", timezone="Asia/Almaty", slug="what-is-new", parameters={"request": {}}),
    ),
    "plan-passes": (Cron("7 * * * *", timezone="Asia/Almaty", slug="hourly", parameters={"request": {}}),),
    "day-report": (Cron("52 * * * *", timezone="Asia/Almaty", slug="hourly", parameters={"request": {}}),),
}
"""What runs by itself, by the flow's name."""

FIRST_OR_LAST: Mapping[str, str] = {
    "watch-landing": NEAR_REAL_TIME,
    "process-pass": NEAR_REAL_TIME,
    "serve-subscriptions": NEAR_REAL_TIME,  # seconds each: it does not wait behind a backlog of scenes
    "reprocess": BACKGROUND,
    "keep-archive": BACKGROUND,
    "build-composite": BACKGROUND,
}
"""Queues of flows that do not wait in the ordinary one."""

ALONE = ("watch-landing", "keep-archive", "plan-passes", "day-report", "serve-subscriptions")
"""Flows of which one run at a time is enough: another is cancelled when it would begin."""


_ONE_AT_A_TIME = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)


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
    deployment = RunnerDeployment.from_flow(
        flow,
        name=flow.name,
        description=flow.description,
        tags=[*TAGS, *TAGS_OF.get(flow.name, ())],
        schedules=list(schedules),
        work_pool_name=WORK_POOL,
        # Named, it is started at once. Left to itself, Prefect starts another process first that looks for flow code to
        # fetch, imports all of Prefect for that, and becomes this one: 2 to 3 s of a processor for every run.
        job_variables={"command": shlex.join(fork_client.command("prefect.engine"))},
        work_queue_name=FIRST_OR_LAST.get(flow.name, ORDINARY),
        concurrency_limit=_ONE_AT_A_TIME if flow.name in ALONE else None,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    form = deployment._parameter_openapi_schema  # there is no public way to it before it is sent
    form.definitions = offer(form.definitions, choices(load_registry(Home.resolve().configs)))
    return deployment


def register(deployments: Sequence[RunnerDeployment], *, scenes: int = 2) -> list[UUID]:
    """Make the work pool, its queues and the deployments, or bring them up to date. Needs a running server.

    Parameters
    ----------
    scenes
        Runs at a time.
    """
    set_queues(WORK_POOL, scenes)
    # Outside an event loop ``apply`` returns the id itself, not a coroutine; its annotation allows both.
    return [UUID(str(deployment.apply())) for deployment in deployments]

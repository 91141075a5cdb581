"""How much runs at a time, and what goes first: limits by resource, and queues by priority, on one Prefect server.

The work pool bounds how many runs there are; queues say which of those that wait is begun next. A run that computes,
unpacks or needs a licensed program takes its share of that resource for as long, and waits where it is used up. Only
resources that ``limits`` of ``HOME/configs/compute.yaml`` names are asked for: a question costs a moment.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from math import ceil

from configs.compute import load_compute
from configs.schema.compute import Compute, ComputeConfig, Limits, bytes_of
from configs.settings import Home
from pipelines.cluster import BASE_BYTES, TASK_BYTES, thread_count

_PREFIX = "qyran-"
_GIB = 1 << 30

NEAR_REAL_TIME, ORDINARY, BACKGROUND = "near-real-time", "default", "background"
QUEUES: Mapping[str, int] = {NEAR_REAL_TIME: 1, ORDINARY: 10, BACKGROUND: 20}
"""Queues of the work pool, and their priority: of the runs that wait, those of the lowest number go first."""


class Resource(StrEnum):
    """What a run takes a share of."""

    CPU = "cpu"
    MEMORY = "memory"
    DISK = "disk"


def shares(limits: Limits) -> dict[str, int]:
    """Names of the limits at Prefect, and how much there is of each; memory in GiB."""
    found = {f"{_PREFIX}licence-{name}": licence.seats for name, licence in limits.licences.items()}
    if limits.cpu is not None:
        found[f"{_PREFIX}{Resource.CPU}"] = limits.cpu
    if limits.memory is not None:
        found[f"{_PREFIX}{Resource.MEMORY}"] = max(1, bytes_of(limits.memory) // _GIB)
    if limits.disk is not None:
        found[f"{_PREFIX}{Resource.DISK}"] = limits.disk
    return found


def set_limits(limits: Limits) -> None:
    """Tell a running server the limits, all free: nothing runs yet. Those of earlier settings are removed."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate

    wanted = shares(limits)
    with get_client(sync_client=True) as client:
        known = {limit.name for limit in client.read_global_concurrency_limits(limit=200, offset=0)}
        for name in sorted(known - set(wanted)):
            if name.startswith(_PREFIX):
                client.delete_global_concurrency_limit_by_name(name)
        for name, much in wanted.items():
            if name in known:
                client.update_global_concurrency_limit(
                    name, GlobalConcurrencyLimitUpdate(limit=much, active=True, active_slots=0)
                )
            else:
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=much))


def set_queues(pool: str, scenes: int) -> None:
    """Make the work pool with its queues, or bring it up to date.

    Parameters
    ----------
    scenes
        Runs at a time.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=pool, type="process", concurrency_limit=scenes), overwrite=True)
        known = {queue.name: queue for queue in client.read_work_queues(work_pool_name=pool)}
        # Making a queue moves those of its priority on: the last first, and each looked at again.
        for name in QUEUES:
            if name not in known:
                client.create_work_queue(name=name, work_pool_name=pool)
        for name, priority in sorted(QUEUES.items(), key=lambda pair: -pair[1]):
            queue = client.read_work_queue_by_name(name, work_pool_name=pool)
            if queue.priority != priority:
                client.update_work_queue(queue.id, priority=priority)


@contextmanager
def taking(home: Home, *resources: Resource, recipe: str = "") -> Iterator[None]:
    """Take a run's share of what is limited, waiting for it as long as it takes, and give it back.

    A run that is killed gives back what it held after five minutes, or when the installation is started again.

    Parameters
    ----------
    recipe
        What is made: takes a seat of every licensed program that it needs.
    """
    config = load_compute(home.configs)
    wanted = _wanted(config, resources, recipe)
    if not wanted:
        yield
        return
    from prefect.concurrency.sync import concurrency

    with ExitStack() as stack:
        # One order for all, so that no two wait for each other.
        for name, much in sorted(wanted.items()):
            stack.enter_context(concurrency(name, occupy=much))
        yield


def _wanted(config: ComputeConfig, resources: tuple[Resource, ...], recipe: str) -> dict[str, int]:
    limited = shares(config.limits)
    found = {}
    for resource in resources:
        name = f"{_PREFIX}{resource}"
        if name in limited:
            # More than there is at all would be waited for in vain.
            found[name] = min(_scene_gib(config), limited[name]) if resource is Resource.MEMORY else 1
    for name, licence in config.limits.licences.items():
        if recipe in licence.recipes:
            found[f"{_PREFIX}licence-{name}"] = 1
    return found


def _scene_gib(config: ComputeConfig) -> int:
    """What one computing scene takes on this machine, GiB."""
    if config.compute is Compute.THREADS:
        return ceil((BASE_BYTES + thread_count(config) * TASK_BYTES) / _GIB)
    if config.compute is Compute.LOCAL and config.memory is not None:
        return ceil((config.workers or 1) * bytes_of(config.memory) / _GIB)
    return 1

"""What the tasks of all flows share: how they try again, where they work, how they end."""

from typing import Any, Final, TypedDict

from prefect.client.schemas.objects import State

from configs.registry import Registry, load_registry
from configs.settings import Home
from pipelines.artifacts import create_artifacts
from pipelines.catalogue import catalogue_product, is_catalogued, item_path
from pipelines.cubes import bring_up, note_in_cubes
from pipelines.outcomes import ItemLink, Stop
from pipelines.requests import Request
from processing.archive.write import published
from processing.model.errors import Defect, Retryable

type Record = dict[str, Any]
"""A small JSON document: all that tasks hand to each other."""


def is_retryable(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Whether a task is worth another try: a lock that opens, a disk that comes back. Nothing else heals by waiting."""
    return isinstance(state.result(raise_on_failure=False), Retryable)


class _Retries(TypedDict):
    retries: int
    retry_delay_seconds: list[float]
    retry_condition_fn: Any


RETRIES: Final[_Retries] = {
    "retries": 3,
    "retry_delay_seconds": [2, 10, 30],
    "retry_condition_fn": is_retryable,
}


def installation(request: Request) -> tuple[Home, Registry]:
    """The home that a request names, with its configuration."""
    home = Home.resolve(request.home_path)
    return home, load_registry(home.configs)


def stop_record(stop: Stop) -> Record:
    """A stop, as a task returns it."""
    return {"stop": stop.model_dump(mode="json")}


def publish_item(request: Request, collection: str, product_id: str) -> Record:
    """Catalogue an archived product unless that revision is there already; attach its artifacts to the run.

    Returns
    -------
    dict
        The :class:`~pipelines.outcomes.ItemLink`.

    Raises
    ------
    Defect
        ``product.record_missing`` if the archive does not hold the product.
    """
    home, registry = installation(request)
    product = published(home.path, collection, product_id)
    if product is None:
        raise Defect(f"{collection}/{product_id} is not in the archive", kind="product.record_missing")
    behind = note_in_cubes(home, product)
    if is_catalogued(home, product):
        link = ItemLink(collection=product.collection, id=product.id, href=str(item_path(product, home)))
    else:
        link = catalogue_product(product, home, registry)
    bring_up(home, product.collection, behind)
    create_artifacts(product, home.path, link.href)
    return link.model_dump(mode="json")

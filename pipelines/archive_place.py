"""The place where an installation publishes its products besides HOME, and seeing to it that they are there."""

import logging
import os
from collections.abc import Mapping
from typing import Any

from catalogs.alternate import with_alternates
from catalogs.validate import validate_item
from configs.archive import load_archive
from configs.load import ConfigError
from configs.settings import Home
from pipelines.object_places import object_place
from processing.archive.objects import Place
from processing.archive.remote import publish_remote
from processing.model.errors import BadInput
from processing.model.product import Product

logger = logging.getLogger(__name__)


def archive_place(home: Home) -> Place | None:
    """The place that ``HOME/configs/archive.yaml`` or ``$QYRAN_ARCHIVE_URL`` names; None where neither does.

    Raises
    ------
    BadInput
        ``place.config`` if the file is wrong, ``place.url`` if the address is.
    """
    try:
        config = load_archive(home.configs)
    except ConfigError as error:
        raise BadInput(str(error), kind="place.config", where=str(home.configs), remedy="Correct that file.") from error
    if not config.url:
        return None
    return object_place(home, config)


def publish_elsewhere(product: Product, home: Home) -> Place | None:
    """See to it that a product is whole at the installation's second place too, and the latest there; where it has one.

    Parameters
    ----------
    product
        Published in HOME.
    home
        The installation.

    Returns
    -------
    place
        Where it is; None if there is no second place.

    Raises
    ------
    Retryable, BadInput, Conflict, Defect
        As :func:`processing.archive.remote.publish_remote`.
    """
    place = archive_place(home)
    if place is None:
        return None
    there = publish_remote(home.path, product, place)
    if there.outcome != "present":
        name = f"{product.collection}/{product.id}"
        logger.info("%s %s at %s: %d objects sent, %d were there", name, there.outcome, place, there.sent, there.found)
    return place


def describe_elsewhere(item: Mapping[str, Any], product: Product, place: Place) -> dict[str, Any]:
    """An item with the addresses of its copies at a place, valid as before."""
    described = with_alternates(item, product, str(place), server=_server(place), region=place.region)
    validate_item(described)
    return described


def _server(place: Place) -> str | None:
    """The S3 server that a place is at; None where it is Amazon's own."""
    return place.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")

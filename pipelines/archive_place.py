"""The place where an installation publishes its products besides HOME, and seeing to it that they are there."""

import logging

from catalogs.alternate import with_alternates
from catalogs.validate import validate_item
from configs.archive import load_archive
from configs.load import ConfigError
from configs.settings import Home
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
    return Place.of(
        config.url,
        endpoint=config.endpoint,
        region=config.region,
        timeout_s=config.timeout_s,
        credentials=home.object_keys,
    )


def publish_elsewhere(product: Product, home: Home, *, latest: bool = True) -> Place | None:
    """See to it that a product is whole at the installation's second place too, where it has one.

    Parameters
    ----------
    product
        Published in HOME.
    home
        The installation.
    latest
        Also make this revision the latest there. False where it has been all along: the place's pointer may have
        moved on by another installation's doing.

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
    there = publish_remote(home.path, product, place, latest=latest)
    if there.outcome != "present":
        name = f"{product.collection}/{product.id}"
        logger.info("%s %s at %s: %d objects sent, %d were there", name, there.outcome, place, there.sent, there.found)
    return place


def describe_elsewhere(item: dict[str, object], product: Product, place: Place | None) -> dict[str, object]:
    """An item with the addresses of its copies at a place, valid as before; unchanged where there is no place."""
    if place is None:
        return item
    described = with_alternates(item, product, str(place))
    validate_item(described)
    return described

"""Whether a package that was made may still be handed out: today's decisions against those it was made under."""

import hashlib
from collections.abc import Mapping
from datetime import datetime

import shapely
from shapely.geometry.base import BaseGeometry

from catalogs.delivery.order import Order
from catalogs.delivery.order_desk import Desk, Standing, decide_again
from catalogs.delivery.order_package import Ruling
from catalogs.policy.decide import mask_shape
from catalogs.policy.terms import Decision, Effect
from processing.model.errors import Denied


def ground_digest(ground: BaseGeometry | None) -> str:
    """What tells one ground from another."""
    return "" if ground is None else hashlib.sha256(shapely.to_wkb(ground.normalize())).hexdigest()


def open_reasons(order: Order, standing: Standing, now: datetime) -> str | None:
    """Why, by today's decisions, an order has to wait, as a stable code; None: it has not."""
    for decision in standing.decisions.values():
        if decision.effect is Effect.HOLD and len(order.approvals) < decision.approvals:
            return "approval.needed"
        if decision.until is not None and now < decision.until:
            return "policy.delay"
        if decision.effect is Effect.DELAY and decision.until is None:
            return "policy.delay"  # nobody knows how old it is: it is never old enough
    return None


def require_standing(desk: Desk, order: Order, now: datetime) -> None:
    """Hold a package against the policy of this moment.

    Raises
    ------
    Denied
        ``order.denied`` if it holds more than may be given now.
    """
    standing = decide_again(desk, order, now)
    if open_reasons(order, standing, now) is not None or not covers(order, standing):
        raise Denied("the policy has changed: this package may not be handed out any more", kind="order.denied",
                     where=order.id, remedy="Ask the house; it can be made anew.")  # fmt: skip


def covers(order: Order, standing: Standing) -> bool:
    """Whether a package holds no more than today's decisions give."""
    if order.package is None:
        return False
    made, digests = order.package.rulings, order.package.masks_sha256
    return all(
        name in made and _no_finer(made[name], decision) and _masked(standing, name, digests)
        for name, decision in standing.decisions.items()
    )


def _no_finer(made: Ruling, now: Decision) -> bool:
    if now.gsd_m is not None and (made.gsd_m is None or made.gsd_m < now.gsd_m):
        return False
    return set(now.drop_bands) <= set(made.drop_bands)


def _masked(standing: Standing, name: str, digests: Mapping[str, str]) -> bool:
    wanted = mask_shape(standing.decisions[name], standing.facts[name], standing.policy)
    return wanted is None or digests.get(name) == ground_digest(wanted)

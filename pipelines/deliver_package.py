"""An order's package made: decided on again, computed, sealed, put on record, signed, and only then there to be had."""

import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from catalogs.delivery.fingerprint_key import WATERMARK
from catalogs.delivery.metering import usage_of
from catalogs.delivery.order import Order, OrderState
from catalogs.delivery.order_desk import HOUSE, Desk, Standing, audit_of, decide_again, held_again, note
from catalogs.delivery.order_package import PackageRecord
from catalogs.delivery.order_standing import covers, open_reasons
from catalogs.delivery.order_store import now_utc
from catalogs.delivery.order_tending import making_lock, package_folder
from catalogs.delivery.package import DATA, DELIVERY, FORMAT, seal_bag, signed
from catalogs.delivery.package_keys import signing_key
from catalogs.delivery.quote import ruling_of
from configs.prices import load_prices
from configs.registry import Registry
from configs.schema.policies import LicenceConfig
from configs.settings import Home
from pipelines.deliver_items import FINGERPRINT, Given, item_bytes, make_item
from pipelines.journal import record_event
from pipelines.observe import report_progress
from processing.archive import durable
from processing.archive.disk_faults import disk_faults
from processing.model.errors import BadInput, Conflict, Denied, QyranError

LICENCE = "LICENCE.txt"
_NOTHING_LEFT = ("product.empty", "window.outside", "visual.empty", "cut.bands")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """What a package is made with."""

    home: Home
    registry: Registry
    desk: Desk


def make_package(place: Workplace, order_id: str, *, again: bool = False) -> Order:
    """Make the package of an order. What is there already, and may still be given, is not made twice.

    Parameters
    ----------
    again
        Make it anew all the same: the same bytes, where policy and archive are the same.

    Returns
    -------
    order
        ``ready``; or ``held``, ``rejected`` or ``failed``, and its history says why.

    Raises
    ------
    BadInput
        ``order.unknown``.
    Conflict
        ``order.state`` if it is over, or waits for something.
    Retryable
        If the disk or the audit log cannot take it now: the order stays ``in_progress``, for another try.
    """
    home, desk = place.home, place.desk
    with durable.exclusive(making_lock(home.path, order_id)):
        order = desk.orders.find(order_id)
        standing = _standing(desk, order)
        if standing is None:
            return desk.orders.find(order_id)
        there = (package_folder(home.path, order_id) / DELIVERY).is_file()
        done = order.state in (OrderState.READY, OrderState.DELIVERED)
        if done and there and not again and covers(order, standing):
            return order
        if not done and (waiting := _held(desk, order, standing)) is not None:
            return waiting
        order = _move(desk, order, OrderState.IN_PROGRESS, "order.started")
        staging = home.staging / f"order-{order_id}"
        shutil.rmtree(staging, ignore_errors=True)
        try:
            with disk_faults(staging):
                durable.make_folders(staging / DATA)
                order = _made(place, order, standing, staging)
                if not done:
                    files = 0 if order.package is None else len(order.package.files)
                    record_event(home, "order.delivered", order=order.id, files=files)
                return order
        except (BadInput, Conflict, Denied) as error:
            return _failed(desk, order, error)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _standing(desk: Desk, order: Order) -> Standing | None:
    """Today's decisions; None if they end the order."""
    if order.state in (OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED):
        raise Conflict(f"the order is {order.state}", kind="order.state", where=order.id)
    try:
        return decide_again(desk, order, now_utc())
    except Denied as error:
        if order.state in (OrderState.READY, OrderState.DELIVERED):
            raise
        note(desk, order, "order.denied", HOUSE.id)
        _move(desk, order, OrderState.REJECTED, "order.denied", error.message)
        return None


def _held(desk: Desk, order: Order, standing: Standing) -> Order | None:
    """The order put on hold, if today's decisions, or a payment, stand in its way."""
    now = now_utc()
    why = "payment.due" if not order.paid else open_reasons(order, standing, now)
    if why is None:
        return None

    def step(found: Order) -> Order:
        changed = held_again(found, standing, now)
        return changed if found.state == OrderState.HELD else changed.moved(
            OrderState.HELD, why, by=HOUSE.id, now=now
        )  # fmt: skip

    return desk.orders.change(order.id, step)


def _move(desk: Desk, order: Order, state: OrderState, reason: str, text: str | None = None) -> Order:
    now = now_utc()
    return desk.orders.change(order.id, lambda found: found.moved(state, reason, by=HOUSE.id, now=now, note=text))


def _failed(desk: Desk, order: Order, error: QyranError) -> Order:
    lost = error.kind in _NOTHING_LEFT
    return _move(desk, order, OrderState.REJECTED if lost else OrderState.FAILED, error.kind, error.message)


def _made(place: Workplace, order: Order, standing: Standing, staging: Path) -> Order:
    data, digests, sizes = staging / DATA, dict[str, str](), dict[str, int]()
    for number, ordered in enumerate(order.items):
        report_progress(number, len(order.items), ordered.name)
        given = Given(
            decision=standing.decisions[ordered.name], facts=standing.facts[ordered.name], policy=standing.policy
        )
        make_item(data, order, ordered, given, home=place.home, registry=place.registry)
        digests[ordered.name], sizes[ordered.name] = given.digest, item_bytes(data, ordered.name)
    (data / LICENCE).write_bytes(licence_text(order, standing).encode())
    made = order.package.made if order.package is not None else now_utc()
    files, manifest = seal_bag(staging, _info(order, made))
    audit = _on_record(place, order, standing, manifest)
    package = PackageRecord(
        made=made, files=files, manifest_sha256=manifest, audit=audit, masks_sha256=digests,
        rulings={name: ruling_of(decision) for name, decision in standing.decisions.items()},
    )  # fmt: skip
    (staging / DELIVERY).write_bytes(signed(delivery_payload(order, package), signing_key(place.home.path)))
    durable.sync_tree(staging)
    _put(staging, package_folder(place.home.path, order.id))
    return _ready(place, order, package, sizes)


def _info(order: Order, made: datetime) -> dict[str, str]:
    return {
        "Source-Organization": "Qyran",
        "External-Identifier": order.id,
        "Bagging-Date": f"{made:%Y-%m-%d}",
        "Bag-Software-Agent": "qyran",
    }


def _on_record(place: Workplace, order: Order, standing: Standing, manifest: str) -> dict[str, Any]:
    """The audit's entry of this delivery, with the proof that it stands in the log. The same bytes have one entry."""
    if order.package is not None and order.package.manifest_sha256 == manifest:
        return order.package.audit
    log, effects = audit_of(place.home.path), [decision.effect for decision in standing.decisions.values()]
    for name, decision in standing.decisions.items():
        log.append(order.customer, "order.decided", [(name, None)], decision, request_id=order.id)
    # The customer gets this row with its proof: so it says what was given, and not by which rule.
    objects = [(order.id, manifest), *((item.name, None) for item in order.items)]
    facts = {"policy_sha256": standing.policy.sha256}
    strictest = max(effects, key=lambda effect: effect.rank)
    entry = log.append(order.customer, "order.deliver", objects, str(strictest), request_id=order.id, facts=facts)
    return log.inclusion_proof(entry)


def delivery_payload(order: Order, package: PackageRecord) -> dict[str, Any]:
    """What is signed. Why a rule is as it is, it does not say: areas may be secret."""
    rulings = {
        name: ruling.model_dump(
            mode="json",
            include={"effect", "gsd_m", "drop_bands", "licence", "obligations", "policy", "policy_sha256"},
        )
        | {"masked": bool(ruling.masks)}
        | ({"fingerprint": FINGERPRINT} if WATERMARK in ruling.obligations else {})
        for name, ruling in package.rulings.items()
    }
    return {
        "format": FORMAT,
        "order": {
            "id": order.id,
            "customer": order.customer,
            "created": order.created.isoformat(),
            "items": [{"collection": item.collection, "id": item.id, "version": item.version} for item in order.items],
            "request": order.request.model_dump(mode="json", exclude={"submission_key"}, exclude_none=True),
            "left_out": [entry.item for entry in order.left_out],
        },
        "made": package.made.isoformat(),
        "decisions": rulings,
        "manifest_sha256": package.manifest_sha256,
        "files": [file.model_dump(mode="json") for file in package.files],
        "audit": package.audit,
    }


def _put(staging: Path, target: Path) -> None:
    """Into its place in one step, also where an earlier one lies."""
    durable.make_folders(target.parent)
    if target.exists():
        durable.exchange(staging, target)
    else:
        durable.move(staging, target)


def _ready(place: Workplace, order: Order, package: PackageRecord, sizes: dict[str, int]) -> Order:
    now = now_utc()
    ends = now + timedelta(days=load_prices(place.home.configs).keep_days)
    rows = usage_of(order, sizes, f"{now:%Y-%m-%d}")
    return place.desk.orders.change(
        order.id,
        lambda found: found.moved(OrderState.READY, "order.ready", by=HOUSE.id, now=now, package=package, expires=ends),
        usage=rows,
    )


def licence_text(order: Order, standing: Standing) -> str:
    """The terms under which each item is given, in words."""
    parts = [f"Order {order.id}", ""]
    for name, decision in standing.decisions.items():
        terms = standing.policy.licences.get(decision.licence or "")
        parts += [name, *(_terms(decision.licence or "", terms) if terms else ["  No licence is named."]), ""]
    return "\n".join(parts)


def _terms(name: str, terms: LicenceConfig) -> list[str]:
    derive = {"yes": "allowed", "no": "not allowed", "value_added_only": "only products of added value"}[terms.derive]
    lines = [
        f"  Licence: {name} ({terms.title})",
        f"  Passing on: {'allowed' if terms.redistribute else 'not allowed'}",
        f"  Deriving: {derive}",
        f"  Naming the source: {'required' if terms.attribution else 'not required'}",
    ]
    return lines if terms.text is None else [*lines, "", *(f"  {line}" for line in terms.text.splitlines())]

"""What is decided about an order that is there: approved, paid, called off, refused."""

from catalogs.delivery.order import OPEN, Approval, Order, OrderState
from catalogs.delivery.order_desk import Desk, note, settled
from catalogs.delivery.order_store import now_utc
from processing.model.errors import Conflict


def approve(desk: Desk, order_id: str, officer: str, words: str | None = None) -> Order:
    """An officer's yes to a held order. Where the policy wants several, they are different ones.

    Parameters
    ----------
    words
        Why, in the officer's words: for the house alone.

    Raises
    ------
    Conflict
        ``order.state`` if it waits for nobody; ``order.approved`` if this officer has approved it already.
    """
    now, sha256 = now_utc(), desk.policy.sha256

    def step(order: Order) -> Order:
        if order.state != OrderState.HELD or len(order.approvals) >= order.approvals_needed:
            raise Conflict("this order waits for nobody's approval", kind="order.state", where=order.id)
        if officer == order.customer:
            raise Conflict("nobody approves an order of their own", kind="order.approved", where=order.id)
        if any(given.officer == officer for given in order.approvals):
            raise Conflict("this officer has approved it already: another one has to", kind="order.approved",
                           where=order.id)  # fmt: skip
        given = (*order.approvals, Approval(officer=officer, time=now, policy_sha256=sha256, note=words))
        return settled(order.model_copy(update={"approvals": given, "updated": now}), now, by=officer)

    note(desk, desk.orders.find(order_id), "order.approve", officer)
    return desk.orders.change(order_id, step)


def mark_paid(desk: Desk, order_id: str, officer: str) -> Order:
    """The house has the money for an order, or an agreement about it."""
    now = now_utc()

    def step(order: Order) -> Order:
        if order.state not in OPEN or order.paid:
            raise Conflict("this order waits for no payment", kind="order.state", where=order.id)
        return settled(order.model_copy(update={"paid": True, "updated": now}), now, by=officer)

    note(desk, desk.orders.find(order_id), "order.paid", officer)
    return desk.orders.change(order_id, step)


def cancel(desk: Desk, order_id: str, by: str, *, reason: str = "order.cancelled") -> Order:
    """Call an order off, before anything of it was handed out."""
    now = now_utc()
    note(desk, desk.orders.find(order_id), "order.cancel", by)
    return desk.orders.change(order_id, lambda order: order.moved(OrderState.CANCELLED, reason, by=by, now=now))


def reject(desk: Desk, order_id: str, by: str, reason: str, words: str | None = None) -> Order:
    """The house's no.

    Parameters
    ----------
    reason
        Stable code, which the customer is told.
    words
        Why, in the officer's words: for the house alone.
    """
    now = now_utc()
    note(desk, desk.orders.find(order_id), "order.reject", by)
    return desk.orders.change(
        order_id, lambda order: order.moved(OrderState.REJECTED, reason, by=by, now=now, note=words)
    )

"""Where an order may stand, and where it may go from there."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class OrderState(StrEnum):
    """Where an order stands, in the words of STAPI and a few more."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    HELD = "held"
    IN_PROGRESS = "in_progress"
    READY = "ready"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"


_S = OrderState
TRANSITIONS: Final[Mapping[OrderState, frozenset[OrderState]]] = {
    _S.RECEIVED: frozenset({_S.ACCEPTED, _S.HELD, _S.REJECTED, _S.CANCELLED}),
    _S.HELD: frozenset({_S.ACCEPTED, _S.REJECTED, _S.CANCELLED, _S.EXPIRED}),
    # What was accepted may be held or rejected after all: the policy is asked again when it is delivered.
    _S.ACCEPTED: frozenset({_S.IN_PROGRESS, _S.HELD, _S.REJECTED, _S.CANCELLED, _S.EXPIRED}),
    # To itself: whoever made it was killed, and another one takes over.
    _S.IN_PROGRESS: frozenset({_S.IN_PROGRESS, _S.READY, _S.FAILED, _S.HELD, _S.REJECTED}),
    _S.FAILED: frozenset({_S.IN_PROGRESS, _S.HELD, _S.REJECTED, _S.CANCELLED, _S.EXPIRED}),
    _S.READY: frozenset({_S.IN_PROGRESS, _S.DELIVERED, _S.EXPIRED}),
    _S.DELIVERED: frozenset({_S.IN_PROGRESS, _S.EXPIRED}),
    _S.CANCELLED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.EXPIRED: frozenset(),
}
"""From which state an order may go to which."""
OPEN: Final = frozenset({_S.RECEIVED, _S.HELD, _S.ACCEPTED, _S.FAILED})
"""States from which it may still be called off: nothing was handed out."""

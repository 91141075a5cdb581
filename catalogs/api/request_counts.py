"""How many requests customers have made this month: counted in memory, put down every few seconds."""

import logging
import threading
import time
from collections import Counter
from datetime import UTC, datetime

from catalogs.customers.register import UnknownCustomer
from catalogs.customers.store import CustomerStore
from catalogs.customers.usage import Measure
from processing.model.errors import QyranError

log = logging.getLogger(__name__)
_PUT_DOWN_S = 5.0
_LOOKED_UP_S = 30.0


class RequestCounts:
    """Counts requests; what a killed process had not put down, a few seconds of them, is forgiven.

    Parameters
    ----------
    customers
        Where counts and quotas are kept.
    """

    def __init__(self, customers: CustomerStore) -> None:
        self._customers = customers
        self._waiting: Counter[str] = Counter()
        self._left: dict[str, tuple[float, float | None]] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def take(self, customer: str) -> int:
        """Count a request of a customer; seconds to wait if its month's quota is used up, and 0 if not."""
        left = self._left_of(customer)
        with self._lock:
            if left is not None and self._waiting[customer] >= left:
                return _until_next_month()
            self._waiting[customer] += 1
            if self._timer is None:
                self._timer = threading.Timer(_PUT_DOWN_S, self.put_down)
                self._timer.daemon = True
                self._timer.start()
        return 0

    def put_down(self) -> None:
        """Put down what was counted."""
        with self._lock:
            counted, self._waiting, self._timer = self._waiting, Counter(), None
            self._left.clear()
        for customer, count in counted.items():
            try:
                self._customers.count_use(customer, {Measure.REQUESTS: float(count)})
            except UnknownCustomer:
                continue
            except QyranError:
                log.exception("requests of %s could not be counted", customer)
                with self._lock:
                    self._waiting[customer] += count

    def close(self) -> None:
        """Put down the rest."""
        with self._lock:
            timer = self._timer
        if timer is not None:
            timer.cancel()
        self.put_down()

    def _left_of(self, customer: str) -> float | None:
        """What was left of the quota when the counts were last put down."""
        now = time.monotonic()
        known = self._left.get(customer)
        if known is None or known[0] < now:
            try:
                left = self._customers.quota_left(customer)[Measure.REQUESTS]
            except UnknownCustomer:
                left = None
            known = self._left[customer] = (now + _LOOKED_UP_S, left)
        return known[1]


def _until_next_month() -> int:
    now = datetime.now(UTC)
    following = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
    return max(1, int((following - now).total_seconds()))

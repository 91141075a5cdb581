"""What a bell listens to besides folders: orders, subscriptions, the catalogue, and a bucket where packages land."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from configs.landing import load_landing
from configs.schema.landing import LandingConfig
from configs.settings import Home
from processing.model.errors import QyranError

_MOST_OBJECTS = 5_000
"""Of a bucket with more, the rest is heard when the schedule looks."""
_AGAIN_S = 120.0
"""So often what is still to be done is rung for again: its run may have died."""
_BY_TIME_S = 60.0
"""So often it is looked what time alone has made due."""


@dataclass(slots=True)
class BucketEar:
    """Packages in the bucket that ``landing.yaml`` names: listed now and then, in a thread, for it may not answer."""

    home: Home
    _looked: float = float("-inf")
    _thread: threading.Thread | None = None
    _found: dict[str, tuple[str, float]] = field(default_factory=dict)
    """By name what a package looked like, and since when."""

    def sounds(self) -> frozenset[str]:
        """One line for each package that a look would act on."""
        try:
            rules = load_landing(self.home.configs)
        except QyranError:
            return frozenset()  # a look says what is wrong with the rules
        if rules.bucket is None:
            return frozenset()
        now = time.monotonic()
        if now - self._looked >= rules.bucket.every_seconds and (self._thread is None or not self._thread.is_alive()):
            self._looked = now
            self._thread = threading.Thread(target=self._look, args=(rules,), daemon=True)
            self._thread.start()
        quiet = {name: now - since > rules.stable_seconds for name, (_, since) in self._found.items()}
        return frozenset(f"bucket: {name} {seen} {quiet[name]}" for name, (seen, _) in self._found.items())

    def _look(self, rules: LandingConfig) -> None:
        # Imported where there is a bucket: most installations have none.
        from pipelines.landing_bucket import bucket_groups
        from pipelines.object_places import object_place
        from processing.archive.bucket_files import list_objects

        assert rules.bucket is not None
        with suppress(QyranError):
            place = object_place(self.home, rules.bucket)
            groups = list(bucket_groups(list_objects(place, most=_MOST_OBJECTS), rules))
            known, now = self._found, time.monotonic()
            self._found = {
                group.names[0]: known[group.names[0]]
                if known.get(group.names[0], ("",))[0] == group.print
                else (group.print, now)
                for group in groups
            }


@dataclass(slots=True)
class OrderEar:
    """Orders that are to be delivered, and those that time has changed."""

    home: Home
    _changed: Callable[[], str] | None = None
    _seen: tuple[str, float] = ("", float("-inf"))
    _due: dict[str, float] = field(default_factory=dict)
    """By id of the order since when it is due."""

    def sounds(self) -> frozenset[str]:
        """One line for each order that is due, and another one every two minutes that it stays so."""
        if not (self.home.path / "orders").is_dir():
            return frozenset()
        # Imported where something was ordered.
        from catalogs.delivery.order_due import Changes, due_orders
        from catalogs.delivery.order_store import DATABASE, FOLDER

        if self._changed is None:
            self._changed = Changes(self.home.path / FOLDER / DATABASE).count
        now, count = time.monotonic(), self._changed()
        if count != self._seen[0] or now - self._seen[1] >= _BY_TIME_S:
            self._seen = (count, now)
            due = due_orders(self.home.path, datetime.now(UTC))
            self._due = {name: self._due.get(name, now) for name in due}
        return frozenset(f"order: {name} {int((now - since) / _AGAIN_S)}" for name, since in self._due.items())


@dataclass(slots=True)
class SubscriptionEar:
    """New items that somebody may have subscribed to or may have an earlier version of, and notices to be sent."""

    home: Home
    _changed: Callable[[], str] | None = None

    def sounds(self) -> frozenset[str]:
        """A line for the catalogue and the rules as they are, and one for each thing that is due."""
        if not (self.home.path / "orders").is_dir():
            return frozenset()  # nobody has ordered or subscribed here yet
        from catalogs import server_url
        from catalogs.delivery.order_due import Changes, due_subscriptions

        if server_url(self.home.catalogue) is not None:
            # Nobody tells of what is new on a server: it is asked as often as ever.
            catalogue = f"every two minutes: {int(time.monotonic() / _AGAIN_S)}"
        else:
            if self._changed is None:
                self._changed = Changes(self.home.catalogue / "catalogue.sqlite").count
            catalogue = self._changed()
        rules = "".join(f" {path} {_stamp(path)}" for path in sorted(self.home.configs.rglob("*.*")))
        due = due_subscriptions(self.home.path, datetime.now(UTC))
        return due | {f"catalogue: {catalogue}", f"rules:{rules}"}


def _stamp(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return 0

"""The keys that sign links: in ``HOME/secrets``, renewed without breaking the links that are open."""

import os
import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import orjson

from catalogs.customers.usage import LONGEST_LINK_S
from catalogs.private_files import kept, read, replace
from processing.archive.durable import exclusive
from processing.model.errors import Defect

_KEY_BYTES = 32
_SIGNS_S = 30 * 86_400
"""A key signs for so long."""


@dataclass(frozen=True, slots=True)
class LinkKey:
    """A key that signs links."""

    id: str
    secret: bytes = field(repr=False)
    created: int
    """Seconds of the epoch."""


class LinkKeys:
    """The keys of an installation; the newest signs, earlier ones verify for as long as a link of theirs may live.

    Every process sees at once what another has changed: the file is looked at for each link.

    Parameters
    ----------
    home
        The installation.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / "secrets" / "link-keys.json"
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[LinkKey, ...] = ()

    def current(self) -> LinkKey:
        """The key that signs; the first one is made now, and a new one when it has signed for a month."""
        if not self._path.exists():
            kept(self._path, lambda: _written((_new_key(),)))
        found = self._loaded()[0]
        return self._renewed(found) if _now() - found.created > _SIGNS_S else found

    def find(self, identifier: str) -> LinkKey | None:
        """The key of that id, if links of it may still be open."""
        if not self._path.exists():
            return None
        return next((key for key in self._loaded() if key.id == identifier), None)

    def rotate(self) -> LinkKey:
        """Make a new key that signs from now on. Links that are open stay so for the minutes they have left."""
        return self._renewed(self.current())

    def _renewed(self, seen: LinkKey) -> LinkKey:
        """A new key after the one that was seen; if another process has made it meanwhile, that one."""
        with exclusive(self._path.with_suffix(".lock")):
            fresh, earlier = _new_key(), self._loaded()
            if earlier[0] != seen:
                return earlier[0]
            # A key signed until the next one was made; all of its links are over a quarter of an hour after that.
            ended = (fresh.created, *(key.created for key in earlier))
            open_still = (
                key for key, end in zip(earlier, ended, strict=False) if end + LONGEST_LINK_S + 60 >= fresh.created
            )
            replace(self._path, _written((fresh, *open_still)))
        return fresh

    def _loaded(self) -> tuple[LinkKey, ...]:
        stat = os.stat(self._path)  # noqa: PTH116 - asked for every link
        seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        with self._lock:
            if seen != self._seen:
                self._keys, self._seen = _read(self._path), seen
            return self._keys


def _new_key() -> LinkKey:
    return LinkKey(secrets.token_hex(6), secrets.token_bytes(_KEY_BYTES), _now())


def _now() -> int:
    return int(datetime.now(UTC).timestamp())


def _written(keys: tuple[LinkKey, ...]) -> bytes:
    listed = [{"id": key.id, "secret": key.secret.hex(), "created": key.created} for key in keys]
    return orjson.dumps({"keys": listed}, option=orjson.OPT_INDENT_2)


def _read(path: Path) -> tuple[LinkKey, ...]:
    try:
        found = tuple(
            LinkKey(str(key["id"]), bytes.fromhex(key["secret"]), int(key["created"]))
            for key in orjson.loads(read(path))["keys"]
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        found = ()
        reason = str(error)
    else:
        reason = "it holds no key"
    if not found or any(len(key.secret) != _KEY_BYTES for key in found):
        raise Defect(
            f"the keys of links cannot be read: {reason}",
            kind="links.keys",
            where=str(path),
            remedy="Take the file away: a new key is made, and links that are open must be asked for again.",
        )
    return found

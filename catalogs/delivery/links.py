"""Links that carry their own right: for one path, one customer, one order, some minutes.

A link is a bearer's: whoever has it may follow it until it ends, is revoked, or policy changes its mind. So it ends
soon, and whoever may have the data asks for a new one.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode

import orjson

from catalogs.customers.usage import LONGEST_LINK_S, Usage
from catalogs.delivery.link_keys import LinkKey, LinkKeys
from processing.model.errors import QyranError

LONGEST = timedelta(seconds=LONGEST_LINK_S)
_FIELDS = ("customer", "order", "expires", "key", "signature")
_EXPIRES = re.compile(r"[1-9][0-9]{9}")


class LinkRefused(QyranError):
    """A link that opens nothing: altered, over, revoked, or another's. Which of these is told to nobody."""

    default_kind = "link.refused"


@dataclass(frozen=True, slots=True)
class Link:
    """What a link that was verified stands for."""

    path: str
    customer: str
    order: str
    expires: datetime
    key: str


def sign(path: str, customer: str, order: str, expires: datetime, key: LinkKey) -> str:
    """The query that makes an address a link.

    Parameters
    ----------
    path
        The path as a server sees it, without percent signs; it stands in no other link.
    customer, order
        Ids.
    expires
        When it ends: within 15 minutes.
    key
        :meth:`LinkKeys.current`.

    Raises
    ------
    ValueError
        If it would live longer than any link may, or has a zone-less end.
    """
    if expires.tzinfo is None or expires - datetime.now(UTC) > LONGEST:
        raise ValueError(f"a link lives {LONGEST} at most, not until {expires.isoformat()}")
    seconds = str(int(expires.timestamp()))
    mac = _mac(key, path, customer, order, seconds)
    return urlencode(dict(zip(_FIELDS, (customer, order, seconds, key.id, mac), strict=True)))


def is_signed(query: str) -> bool:
    """Whether a query claims to be that of a link."""
    return any(name == "signature" for name, _ in parse_qsl(query, keep_blank_values=True))


def verify(
    method: str,
    path: str,
    query: str,
    keys: LinkKeys,
    customers: Usage,
    *,
    customer: str | None = None,
    now: datetime | None = None,
) -> Link:
    """What a link stands for.

    Parameters
    ----------
    method
        Of the request: a link is for GET, and HEAD tells less.
    customer
        Id of the one who has signed in and follows it, if anybody has: a link of another's is refused.

    Raises
    ------
    LinkRefused
        For every other link, in the same words.
    """
    now = now or datetime.now(UTC)
    link, mac = _read(path, query)
    key = keys.find(link.key)
    # Calculated in any case: that a key is unknown must not be told by the time it takes.
    expected = _mac(key or _NOBODYS, path, link.customer, link.order, str(int(link.expires.timestamp())))
    genuine = hmac.compare_digest(expected.encode(), mac.encode("utf-8", "replace")) and key is not None
    open_now = now < link.expires <= now + LONGEST + timedelta(seconds=5)
    own = customer is None or customer == link.customer
    if not (genuine and open_now and own and method in ("GET", "HEAD")):
        raise _refused()
    if customers.links_revoked(
        key=link.key, customer=link.customer, order=link.order, expires=int(link.expires.timestamp())
    ):
        raise _refused()
    return link


def _read(path: str, query: str) -> tuple[Link, str]:
    """Exactly the fields of a link, each once, in the form in which they are written."""
    pairs = parse_qsl(query, keep_blank_values=True)
    found = dict(pairs)
    if len(query) > 2_000 or len(pairs) != len(_FIELDS) or set(found) != set(_FIELDS):
        raise _refused()
    if not _EXPIRES.fullmatch(found["expires"]):
        raise _refused()
    expires = datetime.fromtimestamp(int(found["expires"]), UTC)
    return Link(path, found["customer"], found["order"], expires, found["key"]), found["signature"]


def _mac(key: LinkKey, path: str, customer: str, order: str, expires: str) -> str:
    # A JSON list: no text can slip from one field into the next.
    message = orjson.dumps(["qyran-link-1", "GET", path, customer, order, expires, key.id])
    return base64.urlsafe_b64encode(hmac.digest(key.secret, message, hashlib.sha256)).rstrip(b"=").decode()


def _refused() -> LinkRefused:
    return LinkRefused(
        "this link opens nothing (any more)", remedy="Ask for a new one where you found it: links live 15 minutes."
    )


_NOBODYS = LinkKey("nobody", bytes(32), 0)

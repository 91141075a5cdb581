"""Notices posted to a customer's server: signed, by https, and never to a machine of the house.

The address is a customer's: whoever could have this server ask any address could have it ask the house's own machines.
So a name is looked up here, once, every address that it stands for must be a public one, and the connection goes to the
very address that was looked at. Nothing is followed anywhere else, and of the answer only its status is read.

Signatures are those of Standard Webhooks (https://www.standardwebhooks.com): ``webhook-id``, ``webhook-timestamp`` and
``webhook-signature``, the last one ``v1,`` and in base64 the HMAC-SHA256 over ``ID.TIMESTAMP.BODY``.
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import ipaddress
import secrets
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from catalogs.private_files import kept
from configs.schema.subscriptions import WebhookRules
from processing.model.errors import BadInput

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_KEY = "secrets/webhook-key"
_PREFIX = "whsec_"
# Where an IPv6 address is another one's disguise: NAT64, 6to4, Teredo.
_DISGUISES = tuple(ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
_GONE = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a posted notice."""

    status: int | None = None
    """HTTP status; None: nobody answered, or nobody was asked."""
    fault: str | None = None
    """Why not, in plain words without addresses: they would tell what answers here."""

    @property
    def taken(self) -> bool:
        """Whether the other side has it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def hopeless(self) -> bool:
        """Whether the other side wants no more."""
        return self.status == _GONE


def is_open(address: Address, rules: WebhookRules) -> bool:
    """Whether notices may be posted to an address: a public one, or one of the operator's networks."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in rules.networks):
        return True
    if isinstance(address, ipaddress.IPv6Address) and any(address in network for network in _DISGUISES):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def require_address(url: str, rules: WebhookRules) -> None:
    """Refuse at once what can never be posted to. What a name stands for is looked at when something is sent.

    Raises
    ------
    BadInput
        ``subscription.webhook``.
    """
    parts = urlsplit(url)
    host = _literal(parts.hostname or "")
    shut = host is not None and not is_open(host, rules)
    if shut or (parts.scheme != "https" and not rules.networks):
        raise BadInput("notices are not posted to this address", kind="subscription.webhook",
                       remedy="Name a public host, by https.")  # fmt: skip


def webhook_secret(home: Path, subscription: str, generation: int) -> str:
    """The secret of a subscription's notices, ``whsec_...``: derived from a key of the house, and kept nowhere."""
    key = kept(home / _KEY, lambda: base64.b64encode(secrets.token_bytes(32)) + b"\n").strip()
    derived = hmac.digest(key, f"webhook:{subscription}:{generation}".encode(), "sha256")
    return _PREFIX + base64.b64encode(derived).decode()


def signature(secret: str, notice: str, timestamp: int, body: bytes) -> str:
    """What proves who sent a notice, and when: ``v1,BASE64``."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = f"{notice}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def post(url: str, notice: str, body: bytes, *, secret: str, timestamp: int, rules: WebhookRules) -> Answer:
    """Post a notice. Never raises for what is wrong on the other side.

    Parameters
    ----------
    notice
        Its id: the same at every try, so that the other side can tell.
    timestamp
        Seconds of the epoch: of this try.
    """
    parts = urlsplit(url)
    secure, host = parts.scheme == "https", parts.hostname or ""
    port = parts.port or (443 if secure else 80)
    try:
        address, own = _chosen(host, port, rules)
    except OSError:
        return Answer(fault="its name cannot be looked up")
    if address is None:
        return Answer(fault="it is no public address")
    if not own and not secure:
        return Answer(fault="it is not asked by https")
    if not own and port not in rules.ports:
        return Answer(fault="its port is none that may be asked")
    headers = {
        "Content-Type": "application/json", "User-Agent": "Qyran", "webhook-id": notice,
        "webhook-timestamp": str(timestamp), "webhook-signature": signature(secret, notice, timestamp, body),
    }  # fmt: skip
    connection = _Pinned(host, port, address=str(address), secure=secure, timeout=rules.timeout_s)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # Each wait ends by itself, but a server that sends a byte now and then could have many of them.
    watch = threading.Timer(rules.timeout_s, connection.cut)
    watch.daemon = True
    watch.start()
    try:
        connection.request("POST", path, body, headers)
        return Answer(status=connection.getresponse().status)
    except ssl.SSLError:
        return Answer(fault="its certificate is not valid, or it speaks no TLS")
    except TimeoutError:
        return Answer(fault="it did not answer in time")
    except (OSError, http.client.HTTPException):
        return Answer(fault="it cannot be reached, or broke off")
    finally:
        watch.cancel()
        connection.close()


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _chosen(host: str, port: int, rules: WebhookRules) -> tuple[Address | None, bool]:
    """The address to post to, None if any that the name stands for is shut; and whether it is the operator's own."""
    literal = _literal(host)
    addresses = [literal] if literal is not None else _looked_up(host, port)
    if not addresses or not all(is_open(address, rules) for address in addresses):
        return None, False
    return addresses[0], any(addresses[0] in network for network in rules.networks)


def _looked_up(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


class _Pinned(http.client.HTTPConnection):
    """A connection to the one address that was looked at, by the name that was asked for."""

    def __init__(self, host: str, port: int, *, address: str, secure: bool, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self.default_port = 443 if secure else 80
        self._address = address
        self._context = ssl.create_default_context() if secure else None

    def connect(self) -> None:
        """Connect, and see whose certificate it is."""
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._context is not None:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)

    def cut(self) -> None:
        """End it now."""
        with contextlib.suppress(OSError):
            if self.sock is not None:
                self.sock.shutdown(socket.SHUT_RDWR)

"""Webhooks: signed, tried again, and never posted to a machine of the house; a real receiver on loopback."""

import base64
import hashlib
import hmac
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from catalogs.delivery import subscriptions_webhook
from catalogs.delivery.subscriptions_desk import open_subscriptions, renew_secret, secret_of
from catalogs.delivery.subscriptions_webhook import is_open, post, require_address, signature, webhook_secret
from catalogs.policy.audit import AuditLog
from configs.schema.subscriptions import WebhookRules
from processing.model.errors import BadInput
from tests.delivery.test_subscriptions import Subscribed, subscribed  # noqa: F401 - a fixture
from tests.services.webhook import webhook

HERE = WebhookRules(networks=("127.0.0.0/8",), timeout_s=2)
PUBLIC = WebhookRules(timeout_s=2)


@contextmanager
def receiver(*answers: int, location: str | None = None) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """Its address, and what was posted there; it answers as told, the last answer for ever."""
    heard: list[tuple[dict[str, str], bytes]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            heard.append((headers, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answers[min(len(heard), len(answers)) - 1])
            if location is not None:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook?k=v", heard
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
     "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::"],
)  # fmt: skip
def test_no_address_of_the_house_is_open(address):
    found = ipaddress.ip_address(address)
    assert not is_open(found, PUBLIC)
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(BadInput):
        require_address(f"https://{host}/x", PUBLIC)
    answer = post(f"https://{host}/x", "n", b"{}", secret="whsec_AAAA", timestamp=1, rules=PUBLIC)
    assert (answer.taken, answer.status, answer.fault) == (False, None, "it is no public address")


def test_public_addresses_and_the_operators_own_are_open():
    for address in ("8.8.8.8", "93.184.216.34", "2606:4700::1111"):
        assert is_open(ipaddress.ip_address(address), PUBLIC)
        require_address(f"https://[{address}]/" if ":" in address else f"https://{address}/", PUBLIC)
    assert is_open(ipaddress.ip_address("127.0.0.1"), HERE)
    assert is_open(ipaddress.ip_address("::ffff:127.0.0.1"), HERE)
    assert not is_open(ipaddress.ip_address("10.0.0.1"), HERE)


@pytest.mark.parametrize("name", ["localhost", "2130706433", "127.1", "0x7f.0.0.1", "localhost."])
def test_names_are_held_against_what_they_stand_for(name, monkeypatch):
    """However it is written, it is loopback; and nobody listens who could be asked first."""
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: real("127.0.0.1", *a, **k))
    with receiver(204) as (url, heard):
        port = url.split(":")[2].split("/")[0]
        rules = WebhookRules(ports=(int(port),))
        for scheme in ("http", "https"):
            answer = post(f"{scheme}://{name}:{port}/", "n", b"{}", secret="whsec_AAAA", timestamp=1, rules=rules)
            assert answer.fault == "it is no public address"
        assert heard == []


def test_a_name_that_changes_its_meaning_is_looked_up_once(monkeypatch):
    """DNS rebinding: the second answer would be loopback, and nobody asks for it."""
    asked = []

    def look_up(host, port, **_):
        asked.append(host)
        address = "93.184.216.34" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    connected = []

    def connect(address, timeout):
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connect)
    answer = post("https://hooks.example/", "n", b"{}", secret="whsec_AAAA", timestamp=1, rules=PUBLIC)
    assert answer.fault == "it cannot be reached, or broke off"
    assert (asked, connected) == (["hooks.example"], [("93.184.216.34", 443)])
    # One shut address among open ones is enough to ask none of them.
    monkeypatch.setattr(
        socket, "getaddrinfo",
        lambda host, port, **_: [(2, 1, 6, "", (address, port)) for address in ("93.184.216.34", "10.0.0.1")],
    )  # fmt: skip
    assert post("https://x.example/", "n", b"{}", secret="whsec_AAAA", timestamp=1, rules=PUBLIC).status is None
    assert len(connected) == 1
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: [(2, 1, 6, "", ("93.184.216.34", port))])
    for url, fault in (
        ("http://x.example/", "it is not asked by https"),
        ("https://x.example:22/", "its port is none that may be asked"),
    ):
        assert post(url, "n", b"{}", secret="whsec_AAAA", timestamp=1, rules=PUBLIC).fault == fault
    assert len(connected) == 1


def test_redirects_are_not_followed_and_a_slow_server_is_left():
    with webhook() as (inner, inner_heard), receiver(302, location=inner) as (url, heard):
        answer = post(url, "n", b"{}", secret="whsec_AAAA", timestamp=1, rules=HERE)
        assert (answer.status, answer.taken) == (302, False)
        assert (len(heard), inner_heard) == (1, [])
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            client, _ = listener.accept()
            with client:
                try:
                    for sign in b"HTTP/1.1 200 OK and so on for a long time":
                        client.send(bytes([sign]))
                        time.sleep(0.3)
                except OSError:
                    return

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert not post(url, "n", b"{}", secret="whsec_AAAA", timestamp=1, rules=HERE).taken
        assert time.monotonic() - began < 4


def test_a_certificate_of_nobody_is_refused():
    with receiver(204) as (url, heard):
        # It speaks no TLS at all: https to it must fail, not fall back.
        answer = post(url.replace("http:", "https:"), "n", b"{}", secret="whsec_AAAA", timestamp=1, rules=HERE)
        assert answer.fault == "its certificate is not valid, or it speaks no TLS"
        assert heard == []
    context = subscriptions_webhook._Pinned("h", 443, address="127.0.0.1", secure=True, timeout=1)._context
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_signatures_are_those_of_standard_webhooks():
    """The example of the specification's own libraries."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == expected


def test_a_secret_belongs_to_one_subscription_and_is_kept_nowhere(tmp_path):
    one = webhook_secret(tmp_path, "sub-1", 1)
    assert webhook_secret(tmp_path, "sub-1", 1) == one
    assert len({one, webhook_secret(tmp_path, "sub-2", 1), webhook_secret(tmp_path, "sub-1", 2)}) == 3
    assert len(base64.b64decode(one.removeprefix("whsec_"))) == 32
    (key,) = tmp_path.rglob("*-key")
    assert key.stat().st_mode & 0o077 == 0


def test_notices_are_posted_signed_and_tried_again_until_they_are_taken(subscribed: Subscribed):  # noqa: F811
    rules = "webhooks: {networks: [127.0.0.0/8], retry_minutes: [1, 5]}\n"
    (subscribed.home / "configs" / "subscriptions.yaml").write_text(rules)
    with receiver(500, 503, 204) as (url, heard):
        subscription = subscribed.add(notify={"webhook": url})
        secret = secret_of(subscribed.home, subscription)
        subscribed.catalogue("A")
        assert subscribed.serve()["notices"]["later"] == 1
        assert subscribed.serve()["notices"] == {"sent": 0, "later": 0, "given_up": 0, "withheld": 0}
        assert subscribed.serve(timedelta(minutes=2))["notices"]["later"] == 1
        assert subscribed.serve(timedelta(minutes=8))["notices"]["sent"] == 1
        assert subscribed.serve(timedelta(minutes=60))["notices"]["sent"] == 0
        assert len({headers["webhook-id"] for headers, _ in heard}) == 1
        for headers, body in heard:
            key = base64.b64decode(secret.removeprefix("whsec_"))
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            proof = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
            assert headers["webhook-signature"] == f"v1,{proof}"
        document = json.loads(heard[-1][1])
        (order,) = subscribed.orders(subscription)
        assert (document["type"], document["data"]["order"], document["data"]["state"]) == (
            "order.placed", order.id, "accepted"
        )  # fmt: skip
        assert {link["rel"] for link in document["data"]["links"]} == {"item", "order", "subscription"}
        assert subscribed.told()[0]["sent"] == [{"channel": "webhook", "state": "sent", "tries": 3, "fault": None}]
        rows = [entry.document for entry in AuditLog.open(subscribed.home).entries()]
        assert sum(row["action"] == "notice.send" for row in rows) == 1
        # With a new secret, the earlier one proves nothing any more.
        with open_subscriptions(subscribed.home) as place:
            renewed = renew_secret(place, subscription.id, "c")
        assert secret_of(subscribed.home, renewed) != secret


def test_a_webhook_that_never_answers_is_given_up_and_one_that_is_gone_at_once(subscribed: Subscribed):  # noqa: F811
    rules = "webhooks: {networks: [127.0.0.0/8], retry_minutes: [1]}\n"
    (subscribed.home / "configs" / "subscriptions.yaml").write_text(rules)
    with receiver(500) as (bad, _), receiver(410) as (gone, gone_heard):
        subscribed.add(notify={"webhook": bad})
        subscribed.add("akimat", notify={"webhook": gone})
        subscribed.catalogue("A")
        assert subscribed.serve()["notices"] == {"sent": 0, "later": 1, "given_up": 1, "withheld": 0}
        assert subscribed.serve(timedelta(minutes=2))["notices"]["given_up"] == 1
        assert subscribed.serve(timedelta(hours=2))["notices"]["given_up"] == 0
        assert len(gone_heard) == 1
    assert subscribed.told()[0]["sent"][0] == {
        "channel": "webhook", "state": "given up", "tries": 2, "fault": "it answered 500"
    }  # fmt: skip


def test_nothing_is_posted_when_it_cannot_be_put_on_record(subscribed: Subscribed, monkeypatch):  # noqa: F811
    rules = "webhooks: {networks: [127.0.0.0/8]}\n"
    (subscribed.home / "configs" / "subscriptions.yaml").write_text(rules)
    with receiver(204) as (url, heard):
        subscription = subscribed.add(notify={"webhook": url})
        subscribed.catalogue("A")
        real = AuditLog.append

        def full(self, actor, action, *given, **named):
            if action == "notice.send":
                raise OSError(28, "No space left on device")
            return real(self, actor, action, *given, **named)

        monkeypatch.setattr(AuditLog, "append", full)
        with pytest.raises(OSError, match="No space"):
            subscribed.serve()
        assert heard == []
        monkeypatch.undo()
        subscribed.serve(timedelta(seconds=1))
        assert len(heard) == 1
        assert len(subscribed.orders(subscription)) == 1

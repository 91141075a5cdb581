"""A real OpenID Connect provider on loopback, which insists on PKCE."""

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import httpx
import oidc_provider_mock
import werkzeug.serving
from joserfc import jwt
from oidc_provider_mock._storage import storage


@dataclass
class Provider:
    """A running provider."""

    issuer: str
    app: flask.Flask
    challenges: dict[str, str] = field(default_factory=dict)
    """PKCE's challenges, by code."""

    def sign(self, claims: dict[str, Any], header: dict[str, Any] | None = None) -> str:
        """A token as this provider would sign it."""
        with self.app.test_request_context():
            self.app.preprocess_request()
            key = storage.jwk
            key.ensure_kid()
            return jwt.encode({"alg": "RS256", "kid": key.kid, **(header or {})}, claims, key)

    def public_pem(self) -> bytes:
        """The key it signs with, as anybody may have it."""
        with self.app.test_request_context():
            self.app.preprocess_request()
            return bytes(storage.jwk.as_pem(private=False))

    def let_in(self, url: str, subject: str) -> str:
        """What a person does there who is sent to ``url``: sign in as ``subject``; where the browser goes then."""
        answer = httpx.post(url, data={"sub": subject}, trust_env=False)
        assert answer.status_code == 302, answer.text
        back = str(answer.headers["location"])
        (code,) = parse_qs(urlsplit(back).query)["code"]
        self.challenges[code] = parse_qs(urlsplit(url).query)["code_challenge"][0]
        return back


@contextmanager
def provider_running(*users: oidc_provider_mock.User) -> Iterator[Provider]:
    """Run a provider until the block ends."""
    app = oidc_provider_mock.app(user_claims=users)
    app.debug = False
    server = werkzeug.serving.make_server("127.0.0.1", 0, app, threaded=True)
    provider = Provider(f"http://127.0.0.1:{server.server_port}", app)
    app.before_request(_insist_on_pkce(provider))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def _insist_on_pkce(provider: Provider) -> Callable[[], flask.Response | None]:
    def check() -> flask.Response | None:
        if flask.request.path != "/oauth2/token":
            return None
        verifier = flask.request.form.get("code_verifier", "")
        hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if provider.challenges.get(flask.request.form.get("code", "")) == hashed:
            return None
        return flask.make_response({"error": "invalid_grant"}, 400)

    return check

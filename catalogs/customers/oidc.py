"""Signing in at an OpenID Connect provider: authorisation code with PKCE, and access tokens of programs."""

import logging
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from joserfc.jwk import KeySet

from catalogs.customers.accounts import Credential
from catalogs.customers.credentials import Credentials, SignIn
from catalogs.customers.oidc_claims import Expected, TokenRefused, UnknownKey, customer_by_rules, read_claims, read_keys
from catalogs.customers.register import UnknownCustomer
from catalogs.private_files import read
from configs.schema.sign_in import OidcConfig
from processing.model.errors import Defect, Retryable

log = logging.getLogger(__name__)
_TIMEOUT_S, _LARGEST = 5.0, 1 << 20
_KEPT_S, _ASKED_AGAIN_S = 600.0, 30.0


class NoCustomer(TokenRefused):
    """The provider knows this person, and we have no customer for it."""

    default_kind = "sign_in.no_customer"


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in on its way to the provider."""

    url: str
    """Where the browser goes."""
    state: str
    """What it must come back with, in its cookie and in the address."""


@dataclass(frozen=True, slots=True)
class _Provider:
    """What a provider says of itself, and its keys."""

    authorize: str
    token: str
    keys: KeySet
    at: float


class Oidc:
    """A provider and who its people are here.

    Parameters
    ----------
    config
        The provider.
    home
        The installation, where the client's secret lies.
    customers
        Who is linked to whom.
    """

    def __init__(self, config: OidcConfig, home: Path, customers: Credentials) -> None:
        self.config = config
        self._home, self._customers = home, customers
        self._lock = threading.Lock()
        self._known: _Provider | None = None

    def begin(self, redirect_uri: str) -> Begun:
        """Begin a sign-in.

        Raises
        ------
        Retryable
            ``sign_in.provider`` if the provider does not answer.
        """
        provider = self._provider()
        state, begun = (
            secrets.token_urlsafe(32),
            SignIn(nonce=secrets.token_urlsafe(24), verifier=secrets.token_urlsafe(48)),
        )
        with self._client(redirect_uri) as client:
            url, _ = client.create_authorization_url(
                provider.authorize, state=state, nonce=begun.nonce, code_verifier=begun.verifier
            )
        self._customers.begin_sign_in(state, begun)
        return Begun(str(url), state)

    def finish(self, redirect_uri: str, state: str, code: str) -> str:
        """Finish a sign-in: the id of the customer as whom somebody comes in.

        Raises
        ------
        TokenRefused
            If the sign-in was not begun here, has been finished, or the provider's word is not to be believed.
        NoCustomer
            If nobody here is known by that word.
        """
        begun = self._customers.finish_sign_in(state)
        if begun is None:
            raise TokenRefused("this sign-in was not begun here, or is over", kind="sign_in.state")
        provider = self._provider()
        try:
            with self._client(redirect_uri) as client:
                answer = client.fetch_token(
                    provider.token, code=code, code_verifier=begun.verifier, grant_type="authorization_code"
                )
        except OAuthError as error:
            raise TokenRefused("the provider did not accept the code") from error
        except (httpx.HTTPError, ValueError) as error:
            raise _silent(error) from error
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise TokenRefused("the provider sent no ID token")
        claims = self._claims(token, self.config.client_id, begun.nonce)
        return self._customer(claims)

    def credential(self, token: str) -> Credential | None:
        """Whom an access token lets in; None if it is none for us, or nobody here is known by it."""
        if self.config.audience is None:
            return None
        try:
            claims = self._claims(token, self.config.audience, None)
            customer = self._customer(claims)
            return self._customers.credential_of_customer(customer, f"oidc:{customer}", int(claims["exp"]))
        except (TokenRefused, UnknownCustomer) as error:
            log.info("an access token was refused: %s", error.message)
            return None

    def _claims(self, token: str, audience: str, nonce: str | None) -> dict[str, Any]:
        config = self.config
        expected = Expected(
            issuer=config.issuer, audience=audience, algorithms=tuple(config.algorithms),
            longest_s=config.longest_hours * 3_600, nonce=nonce,
        )  # fmt: skip
        try:
            return read_claims(token, self._provider().keys, expected)
        except UnknownKey:
            # Providers change keys. Whoever invents ids of keys makes us ask twice a minute, not more.
            return read_claims(token, self._provider(older_than_s=_ASKED_AGAIN_S).keys, expected)

    def _customer(self, claims: dict[str, Any]) -> str:
        linked = self._customers.customer_of_identity(self.config.issuer, str(claims["sub"]))
        found = linked or customer_by_rules(claims, self.config.customers)
        if found is None:
            raise NoCustomer(
                "there is no customer for this account",
                remedy="Ask the operator to link it: qyran customer link NAME --subject " + str(claims["sub"])[:80],
            )
        return found

    def _provider(self, older_than_s: float = _KEPT_S) -> _Provider:
        with self._lock:
            if self._known is None or time.monotonic() - self._known.at > older_than_s:
                self._known = self._discovered()
            return self._known

    def _discovered(self) -> _Provider:
        issuer = self.config.issuer
        with httpx.Client(timeout=_TIMEOUT_S, trust_env=not _is_here(issuer), follow_redirects=False) as client:
            said = _fetched(client, issuer.rstrip("/") + "/.well-known/openid-configuration")
            if not isinstance(said, dict) or said.get("issuer") != issuer:
                raise Defect(
                    "the provider names itself otherwise than sign_in.yaml does", kind="sign_in.issuer", where=issuer,
                    remedy="Set issuer to what its .well-known/openid-configuration says, to the letter.",
                )  # fmt: skip
            places = [said.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
            for place in places:
                if not isinstance(place, str) or not (place.startswith("https://") or _is_here(issuer)):
                    raise Defect("the provider names no safe address", kind="sign_in.issuer", where=str(place))
            return _Provider(
                str(places[0]), str(places[1]), read_keys(_fetched(client, str(places[2]))), time.monotonic()
            )

    def _client(self, redirect_uri: str) -> OAuth2Client:
        config = self.config
        secret = None
        if config.client_secret_file is not None:
            secret = read(self._home / config.client_secret_file).decode().strip()
        return OAuth2Client(
            client_id=config.client_id,
            client_secret=secret,
            token_endpoint_auth_method="none" if secret is None else "client_secret_basic",
            scope=" ".join(config.scopes),
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=_TIMEOUT_S,
            trust_env=not _is_here(config.issuer),
        )


def _fetched(client: httpx.Client, url: str) -> object:
    try:
        with client.stream("GET", url, headers={"Accept": "application/json"}) as answer:
            answer.raise_for_status()
            content = b""
            for part in answer.iter_bytes():
                content += part
                if len(content) > _LARGEST:
                    raise Defect("the provider's answer is too large", kind="sign_in.provider", where=url)
        return httpx.Response(200, content=content).json()
    except (httpx.HTTPError, ValueError) as error:
        raise _silent(error) from error


def _silent(error: Exception) -> Retryable:
    return Retryable(
        f"the provider does not answer ({type(error).__name__})",
        kind="sign_in.provider",
        remedy="Sign in with a token meanwhile, or try again later.",
    )


def _is_here(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost")

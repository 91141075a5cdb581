"""By what somebody comes in: a customer's token, a provider's access token, a session's cookie."""

import hmac
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from catalogs.customers.accounts import Credential
from catalogs.customers.oidc import Oidc
from catalogs.customers.secrets_of import digest
from catalogs.customers.store import CustomerStore
from processing.model.errors import QyranError

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_COOKIE = "qyran-session"


class WrongOrigin(QyranError):
    """A page of somebody else's makes a browser ask in the name of whoever is signed in there."""

    default_kind = "origin"


class OutOfScope(QyranError):
    """A token that is not for this."""

    default_kind = "token.scope"


class Entrance:
    """Verifies what a request carries, anew every time: what was revoked is refused from the next request on.

    Parameters
    ----------
    customers
        The customers.
    oidc
        The provider that vouches for some of them, if there is one.
    operator_token
        The operators' secret; a session of theirs ends when it changes.
    """

    def __init__(self, customers: CustomerStore, oidc: Oidc | None = None, operator_token: str | None = None) -> None:
        self.customers, self.oidc = customers, oidc
        self._operator = None if operator_token is None else digest(operator_token)

    def of_header(self, header: str) -> Credential | None:
        """Whom an ``Authorization`` header lets in; None if it is none of ours."""
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer":
            return None
        if token.count(".") == 2 and self.oidc is not None:
            return self.oidc.credential(token)
        return self.customers.credential_of_token(token)

    def of_cookie(self, request: HTTPConnection) -> Credential | None:
        """Whose session it is; None if it is none or over: that one is anybody again, and may sign in.

        Raises
        ------
        WrongOrigin
            If something is to be changed, and the request does not come from a page of ours.
        """
        cookie = request.cookies.get(cookie_name(request))
        found = None if cookie is None else self.customers.credential_of_session(cookie)
        if found is None:
            return None
        if found.party is None and not self._is_operators(found):
            return None
        if request.scope.get("method") not in SAFE_METHODS:
            refuse_foreign_origin(request, needed=True)
        return found

    def _is_operators(self, found: Credential) -> bool:
        return (
            self._operator is not None
            and found.operator is not None
            and hmac.compare_digest(found.operator, self._operator)
        )


def cookie_name(request: HTTPConnection) -> str:
    """Name of the session's cookie; with ``__Host-``, browsers take it from nobody but this very host, over TLS."""
    return f"__Host-{_COOKIE}" if is_secure(request) else _COOKIE


def is_secure(request: HTTPConnection) -> bool:
    """Whether browsers come by https: the guard in front has set the scheme to that of the public address."""
    return request.url.scheme == "https"


def refuse_foreign_origin(request: HTTPConnection, *, needed: bool) -> None:
    """Refuse what a page of another origin makes a browser send.

    Parameters
    ----------
    needed
        Whether an origin must be named: browsers name it wherever something is changed.

    Raises
    ------
    WrongOrigin
        If another one is named, or none and one is needed.
    """
    origin = request.headers.get("origin")
    if (
        origin is None
        and not needed
        and request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    ):
        return
    parts = urlsplit(origin or "")
    if (parts.scheme, parts.netloc.lower()) != (request.url.scheme, request.url.netloc.lower()):
        raise WrongOrigin("this was asked by a page of another origin", remedy="Ask from a page of this server.")

"""Signing in from a browser: a cookie that no script reads and no other site sends."""

import html
import threading
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from catalogs.api.answers import Json
from catalogs.api.attempts import BY_ADDRESS, BY_NAME, Allowance, Attempts
from catalogs.api.entrance import Entrance, cookie_name, is_secure, refuse_foreign_origin
from catalogs.api.errors import refusal
from catalogs.api.principal import Gate, principal_of
from catalogs.customers.credentials import SESSION_TIME
from catalogs.customers.oidc import NoCustomer
from catalogs.customers.oidc_claims import TokenRefused
from processing.model.errors import BadInput, Retryable

router = APIRouter(tags=["Sign-in"])
CALLBACK = "/sign-in/oidc/callback"
_STATE_COOKIE, _STATE_PATH, _STATE_S = "qyran-sign-in", "/sign-in/oidc", 600
_attempts = Attempts()
_hashing = threading.BoundedSemaphore(2)
"""Verifying a password takes 64 MiB and tens of milliseconds, by design."""


class SignInBody(BaseModel):
    """A token, or a name and a password."""

    model_config = ConfigDict(extra="forbid")

    token: SecretStr | None = Field(default=None, max_length=500)
    name: str | None = Field(default=None, max_length=200)
    password: SecretStr | None = Field(default=None, max_length=500)

    @model_validator(mode="after")
    def _one_of_both(self) -> "SignInBody":
        if (self.token is None) == (self.name is None or self.password is None):
            raise ValueError("give either a token, or a name and a password")
        return self


@router.post("/sign-in", response_class=Json, responses={401: {"description": "Not the right one"},
             429: {"description": "Too many attempts"}})  # fmt: skip
def sign_in(request: Request, body: Annotated[SignInBody, Body()]) -> Response:
    """Begin a session: the cookie in the answer is good for pages, tiles and orders, for eight hours."""
    refuse_foreign_origin(request, needed=False)
    address = request.client.host if request.client else ""
    keys: dict[str, Allowance] = {f"a:{address}": BY_ADDRESS}
    if body.name is not None:
        keys[f"n:{body.name.casefold()}"] = BY_NAME
    wait = _attempts.wait(keys)
    if wait:
        words = "Too many attempts to sign in have failed. Wait, then try again."
        return refusal(429, "sign_in.attempts", words, {"Retry-After": str(wait)})
    session = _session(request, body)
    if session is None:
        _attempts.failed(keys)
        words = "This is not the right one, or it is over. Check it, or ask the operator for a new one."
        return refusal(401, "sign_in.refused", words, {"WWW-Authenticate": "Bearer"})
    answer = Json({"signed_in": True})
    _set_session(request, answer, session)
    return answer


@router.post("/sign-out", response_class=Json)
def sign_out(request: Request) -> Response:
    """End the session, here and on the server."""
    refuse_foreign_origin(request, needed=False)
    name = cookie_name(request)
    if name in request.cookies:
        _entrance(request).customers.end_session(request.cookies[name])
    answer = Json({"signed_in": False})
    answer.delete_cookie(name, path="/", secure=is_secure(request), httponly=True, samesite="strict")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Clear-Site-Data"] = '"cache"'
    return answer


@router.get("/whoami", response_class=Json)
def whoami(request: Request) -> Response:
    """Who asks, and how one may sign in here."""
    found, oidc = principal_of(request), _entrance(request).oidc
    answer = Json(
        {
            "name": found.party.name,
            "class": str(found.party.customer_class),
            "operator": found.operator,
            "officer": found.officer,
            "signed_in": found.operator or found.credential is not None,
            "sign_in": {
                "token": True,
                "password": True,
                "oidc": None if oidc is None else {"title": oidc.config.title, "href": "/sign-in/oidc"},
            },
        }
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.get("/sign-in/oidc", response_class=Response, responses={303: {"description": "To the provider"},
            404: {"description": "There is no provider"}})  # fmt: skip
def oidc_begin(request: Request) -> Response:
    """Go to the provider."""
    oidc = _entrance(request).oidc
    if oidc is None:
        return refusal(404, "not_found", "No provider is set up here; sign in with a token.")
    try:
        begun = oidc.begin(_own(request, CALLBACK))
    except BadInput as error:
        return _page(429, "Signing in", error.message)
    answer = RedirectResponse(begun.url, status_code=303, headers={"Cache-Control": "no-store"})
    # Lax: the provider's page sends the browser back here, and Strict would keep the cookie at home then.
    answer.set_cookie(
        _STATE_COOKIE, begun.state, max_age=_STATE_S, path=_STATE_PATH, secure=is_secure(request), httponly=True,
        samesite="lax",
    )  # fmt: skip
    return answer


@router.get(CALLBACK, response_class=HTMLResponse, include_in_schema=False)
def oidc_callback(request: Request, code: str = "", state: str = "", error: str = "") -> Response:
    """Come back from the provider."""
    entrance = _entrance(request)
    if entrance.oidc is None:
        return refusal(404, "not_found", "No provider is set up here; sign in with a token.")
    if error:
        return _page(401, "Not signed in", "The provider did not let you in.")
    # Only the browser that began a sign-in may end it: else somebody could sign others in as himself.
    if not state or request.cookies.get(_STATE_COOKIE) != state:
        return _page(401, "Not signed in", "This sign-in was not begun in this browser.")
    try:
        customer = entrance.oidc.finish(_own(request, CALLBACK), state, code)
        session = entrance.customers.new_session(customer, "oidc")
    except NoCustomer as fault:
        return _page(403, "Not a customer yet", f"{fault.message}. {fault.remedy}")
    except (TokenRefused, BadInput) as fault:
        return _page(401, "Not signed in", fault.message)
    except Retryable as fault:
        return _page(503, "Not signed in", fault.message)
    # A page, not a redirect: a browser that comes from another site would not send the new cookie along with one.
    answer = _page(200, "Signed in", "", onward="/")
    _set_session(request, answer, session)
    answer.delete_cookie(_STATE_COOKIE, path=_STATE_PATH, secure=is_secure(request), httponly=True, samesite="lax")
    return answer


def _session(request: Request, body: SignInBody) -> str | None:
    """The text of a new session's cookie; None for nobody's token or password."""
    entrance = _entrance(request)
    if body.token is not None:
        token = body.token.get_secret_value().strip()
        gate: Gate = request.app.state.gate
        if gate.is_operator_token(token):
            return entrance.customers.new_operator_session(token)
        return entrance.customers.new_session_of_token(token)
    assert body.name is not None
    assert body.password is not None
    with _hashing:
        account = entrance.customers.check_password(body.name, body.password.get_secret_value())
    return None if account is None else entrance.customers.new_session(account.id, "password")


def _set_session(request: Request, answer: Response, session: str) -> None:
    answer.set_cookie(
        cookie_name(request), session, max_age=int(SESSION_TIME.total_seconds()), path="/", secure=is_secure(request),
        httponly=True, samesite="strict",
    )  # fmt: skip
    answer.headers["Cache-Control"] = "no-store"


def _entrance(request: Request) -> Entrance:
    found: Entrance = request.app.state.entrance
    return found


def _own(request: Request, path: str) -> str:
    """An address of this server by the name that the guard in front has found to be ours."""
    return f"{request.url.scheme}://{request.url.netloc}{quote(path)}"


def _page(status: int, title: str, words: str, onward: str | None = None) -> HTMLResponse:
    """A page of a few words."""
    refresh = "" if onward is None else f'<meta http-equiv="refresh" content="0;url={html.escape(onward)}">'
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>{refresh}'
        f'<h1>{html.escape(title)}</h1><p>{html.escape(words)}</p><p><a href="/">Go on</a></p></html>'
    )
    return HTMLResponse(text, status_code=status, headers={"Cache-Control": "no-store"})

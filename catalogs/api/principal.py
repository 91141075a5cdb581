"""Who asks, and what that one may see."""

import hmac
from dataclasses import dataclass

from starlette.requests import Request

from catalogs.entitlement import EVERYTHING, Entitlement
from processing.model.errors import QyranError

ANONYMOUS = "anonymous"


class Unauthorised(QyranError):
    """A token that is none of ours, or none where one is needed."""

    default_kind = "token.invalid"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    name: str
    entitlement: Entitlement
    operator: bool = False


class Gate:
    """Tells who asks from the ``Authorization`` header: the operator by token, or anybody.

    Parameters
    ----------
    public_collections
        What anybody may see; ``*`` is all.
    operator_token
        The operators' secret; None: nobody is one.
    """

    def __init__(self, public_collections: tuple[str, ...], operator_token: str | None) -> None:
        public = EVERYTHING if "*" in public_collections else Entitlement(collections=frozenset(public_collections))
        self._anybody = Principal(ANONYMOUS, public)
        self._operator = Principal("operator", EVERYTHING, operator=True)
        self._token = None if operator_token is None else operator_token.encode()

    def principal(self, request: Request) -> Principal:
        """Who asks.

        Raises
        ------
        Unauthorised
            ``token.invalid`` for a token that is none of ours: taken for nobody's, it would hide a mistake.
        """
        header = request.headers.get("authorization")
        if header is None:
            return self._anybody
        if self.client(header) is not None:
            return self._operator
        raise Unauthorised(
            "the token is not valid here", remedy="Leave the Authorization header out, or get a new token."
        )

    def client(self, header: str | None) -> str | None:
        """Name of the one whose token an ``Authorization`` header carries; None if it is none of ours."""
        scheme, _, token = (header or "").partition(" ")
        given = token.strip().encode("utf-8", "replace")
        known = scheme.lower() == "bearer" and self._token is not None and hmac.compare_digest(given, self._token)
        return self._operator.name if known else None

    def operator(self, request: Request) -> Principal:
        """The operator who asks.

        Raises
        ------
        Unauthorised
            ``token.needed`` if it is anybody else.
        """
        found = self.principal(request)
        if not found.operator:
            raise Unauthorised("this needs an operator's token", kind="token.needed")
        return found


def principal_of(request: Request) -> Principal:
    """Who asks, by the gate of the application."""
    gate: Gate = request.app.state.gate
    return gate.principal(request)

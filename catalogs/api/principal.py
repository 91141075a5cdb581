"""Who asks, and what that one may see."""

import hmac
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from starlette.requests import HTTPConnection, Request

from catalogs.api.entrance import Entrance
from catalogs.api.kept import Kept
from catalogs.api.on_record import OnRecord
from catalogs.api.refused import Unauthorised
from catalogs.api.rights import OF_PARENTS, OF_THE_WHOLE, Remembered, Rights
from catalogs.customers.accounts import EVERY_SCOPE, Credential, Scope
from catalogs.entitlement import EVERYTHING, NOTHING, Entitlement
from catalogs.policy.entitle import entitlement_of
from catalogs.policy.live import LivePolicy
from catalogs.policy.settle import Settled
from catalogs.policy.terms import PUBLIC_PARTY, Action, CustomerClass, Party
from processing.model.errors import QyranError

__all__ = ["ANONYMOUS", "OPERATOR_PARTY", "Gate", "Principal", "Unauthorised", "principal_of"]
ANONYMOUS = "anonymous"
OPERATOR_PARTY = Party(
    id="operator", name="operator", customer_class=CustomerClass.GOV_DOMESTIC, clearance=9, contract=True, paid=True
)
"""How an operator looks to whoever must name a party; policy is not asked about operators."""
_ENTITLED = 1_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    name: str
    entitlement: Entitlement
    """What it may know of, for questions to a store."""
    operator: bool = False
    party: Party = PUBLIC_PARTY
    credential: Credential | None = None
    """By what a customer came in."""
    rights: Rights = field(default_factory=lambda: Rights(PUBLIC_PARTY, None, Remembered()), compare=False)
    """What it may have of a single item."""

    @property
    def scopes(self) -> frozenset[Scope]:
        """What its token may be used for."""
        return EVERY_SCOPE if self.credential is None else self.credential.scopes

    @property
    def unasked(self) -> frozenset[str]:
        """Properties that this one may not ask by: they tell of ground, or of items, that are hidden from it."""
        of_parents = frozenset() if self.entitlement.unlimited else OF_PARENTS
        return of_parents | OF_THE_WHOLE if self.entitlement.hidden else of_parents

    @property
    def officer(self) -> bool:
        """Whether this one may approve what policy holds."""
        return self.operator or (self.credential is not None and self.credential.officer)


class Gate:
    """Tells who asks: an operator, a customer, or anybody; and what policy lets that one know of.

    Parameters
    ----------
    public_collections
        What of what policy lets them know of anybody may see who has not signed in; ``*`` is all.
    operator_token
        The operators' secret; None: nobody is one.
    policy
        The policy in force.
    entrance
        Verifies customers' tokens and sessions; None: there are no customers.
    record
        Where grave refusals are put on record.
    """

    def __init__(
        self,
        public_collections: tuple[str, ...],
        operator_token: str | None,
        *,
        policy: LivePolicy,
        entrance: Entrance | None = None,
        record: OnRecord | None = None,
    ) -> None:
        self.policy, self._entrance, self._record = policy, entrance, record
        self._public = None if "*" in public_collections else frozenset(public_collections)
        self._token = None if operator_token is None else operator_token.encode()
        self._remembered = Remembered()
        self._entitled: Kept[Settled, Entitlement] = Kept(_ENTITLED)
        rights = Rights(OPERATOR_PARTY, None, self._remembered)
        self._operator = Principal("operator", EVERYTHING, operator=True, party=OPERATOR_PARTY, rights=rights)

    def principal(self, request: HTTPConnection) -> Principal:
        """Who asks. It is found out once for a request.

        Raises
        ------
        Unauthorised
            ``token.invalid`` for a token that is none of ours: taken for nobody's, it would hide a mistake.
        WrongOrigin
            If a page of another origin would change something by somebody's session.
        """
        state = request.scope.setdefault("state", {})
        found: Principal | None = state.get("principal")
        if found is None:
            found = state["principal"] = self._principal(request)
        return found

    def _principal(self, request: HTTPConnection) -> Principal:
        header = request.headers.get("authorization")
        if header is None:
            came = None if self._entrance is None else self._entrance.of_cookie(request)
            if came is None:
                return self._asking(PUBLIC_PARTY, None)
            return self._operator if came.party is None else self._asking(came.party, came)
        if self._is_operators(header):
            return self._operator
        came = None if self._entrance is None else self._entrance.of_header(header)
        if came is not None and came.party is not None:
            return self._asking(came.party, came)
        raise Unauthorised(
            "the token is not valid here", remedy="Leave the Authorization header out, or get a new token."
        )

    def client(self, request: HTTPConnection) -> str | None:
        """Name of the one whose token or session a request carries; None if it carries none of ours."""
        try:
            found = self.principal(request)
        except QyranError:
            return None
        return None if found.name == ANONYMOUS else found.name

    def is_operator_token(self, token: str) -> bool:
        """Whether a text is the operators' secret."""
        return self._token is not None and hmac.compare_digest(token.encode("utf-8", "replace"), self._token)

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

    def _is_operators(self, header: str) -> bool:
        scheme, _, token = header.partition(" ")
        return scheme.lower() == "bearer" and self.is_operator_token(token.strip())

    def _asking(self, party: Party, came: Credential | None) -> Principal:
        policy = self.policy.current()
        scopes = EVERY_SCOPE if came is None else came.scopes
        rights = Rights(party, policy, self._remembered, scopes, self._record)
        entitlement = self._entitlement(party) if Scope.READ in scopes else NOTHING
        if party is PUBLIC_PARTY:
            entitlement = _within(entitlement, self._public)
            return Principal(ANONYMOUS, entitlement, party=party, rights=rights)
        return Principal(party.id, entitlement, party=party, credential=came, rights=rights)

    def _entitlement(self, party: Party) -> Entitlement:
        policy = self.policy.current()
        alike = self._remembered.settled(policy, Action.DISCOVER, party)
        return self._entitled.get(alike, lambda: entitlement_of(policy, party, datetime.now(UTC)))


def _within(entitlement: Entitlement, collections: frozenset[str] | None) -> Entitlement:
    if collections is None:
        return entitlement
    both = collections if entitlement.collections is None else collections & entitlement.collections
    return replace(entitlement, collections=both)


def principal_of(request: Request) -> Principal:
    """Who asks, by the gate of the application."""
    gate: Gate = request.app.state.gate
    return gate.principal(request)

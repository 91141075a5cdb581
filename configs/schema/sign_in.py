"""What an operator sets about signing in, in ``HOME/configs/sign_in.yaml``."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

type Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"]
"""Asymmetric ones alone: with the others, whoever can verify can also sign."""
type Origin = Annotated[
    str, Field(pattern=r"^(https://[A-Za-z0-9.\[\]:-]+|http://(127\.0\.0\.1|localhost)(:[0-9]+)?)(/\S*)?$")
]


class ClaimRule(BaseModel):
    """Who a customer is, by what the provider says of a person: a claim has a value, or holds it in a list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    claim: str = Field(min_length=1)
    value: str = Field(min_length=1)
    customer: str = Field(min_length=1)
    """Name or id of the customer, which must be there: nobody becomes one by signing in."""


class OidcConfig(BaseModel):
    """An OpenID Connect provider, such as Keycloak, that vouches for people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: Origin
    """As it names itself, to the letter; ``https``, or on this very machine."""
    client_id: str = Field(min_length=1)
    client_secret_file: str | None = None
    """Below HOME, for the owner's eyes only; None: a public client, with PKCE alone."""
    title: str = "OpenID Connect"
    """What the portal calls it."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    algorithms: tuple[Algorithm, ...] = Field(default=("RS256",), min_length=1)
    """Only these, whatever a token says of itself."""
    audience: str | None = Field(default=None, min_length=1)
    """Access tokens for this audience are taken as credentials of programs; None: none are."""
    longest_hours: float = Field(default=24.0, gt=0, le=24 * 7)
    """A token that lives longer is refused: nobody could take it back."""
    customers: tuple[ClaimRule, ...] = ()
    """Asked in this order, after identities that were linked to a customer one by one."""

    @model_validator(mode="after")
    def _audience_is_not_the_client(self) -> Self:
        if self.audience == self.client_id:
            raise ValueError("audience must not be client_id: an ID token would do as an access token")
        if "openid" not in self.scopes:
            raise ValueError("scopes must hold openid")
        return self


class SignInConfig(BaseModel):
    """Everything has a default: the file need not be there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    oidc: OidcConfig | None = None
    """None: accounts of our own only."""

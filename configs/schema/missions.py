"""A mission: the satellite, who operates it, and the collections its products go to."""

from pydantic import AnyUrl, Field, PositiveFloat, PositiveInt

from configs.schema.values import Identifier, Texts, Value

_DURATION = r"^P(([0-9]+[YMWD])+(T([0-9]+[HMS])+)?|T([0-9]+[HMS])+)$"


class Provider(Value):
    """An organisation with a role in the data, in STAC's terms."""

    name: str
    roles: tuple[str, ...]
    url: AnyUrl | None = None


class MissionConfig(Value):
    """One satellite."""

    id: Identifier
    code: str = Field(pattern=r"^[A-Z0-9]{2,8}$", description="short code that item ids begin with")
    title: dict[str, str] = Field(description="title per language: kk, ru, en")
    description: str
    descriptions: Texts = Field(default_factory=dict, description="description in other languages")
    platform: str = Field(description="STAC platform")
    constellation: str | None = None
    norad_id: PositiveInt | None = None
    cospar_id: str | None = None
    providers: tuple[Provider, ...] = ()
    near_real_time_within: str = Field(
        default="PT3H", pattern=_DURATION, description="ISO 8601: what near-real-time products aim at, from acquisition"
    )
    final_within: str = Field(default="P1M", pattern=_DURATION, description="ISO 8601: what final products aim at")
    licence: str = Field(default="other", description="SPDX id, or 'other'")
    swath_km: PositiveFloat | None = Field(default=None, description="width of what it images looking straight down")
    roll_limit_deg: float | None = Field(
        default=None, ge=0, lt=90, description="how far it turns to either side to image what its track misses"
    )

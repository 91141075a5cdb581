"""What an operator sets about the catalogue and its API, in ``HOME/configs/catalogue.yaml``."""

from pydantic import BaseModel, ConfigDict, Field

from configs.schema.values import Identifier


class CatalogueConfig(BaseModel):
    """Everything has a default: the file need not be there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str | None = Field(default=None, pattern=r"^postgres(ql)?://\S+$", repr=False)
    """PostgreSQL database that holds the catalogue, ``postgresql://user@host:port/name``; ``QYRAN_CATALOGUE_URL``
    outranks it. Passwords belong in libpq's password file (``PGPASSFILE``). None: the embedded store in HOME."""
    title: str = Field(default="Qyran", min_length=1)
    description: str = Field(default="Earth-observation images, orthorectified and catalogued by Qyran.", min_length=1)
    public_collections: tuple[str, ...] = ("*",)
    """Collections that anybody may see who can reach the port; ``*`` is all of them, none is an empty list."""
    policy: Identifier = "kazakhstan-example"
    """Who may have what: a file of ``configs/policies``, shipped or the operator's own."""
    public_url: str | None = Field(default=None, pattern=r"^https?://[A-Za-z0-9.\[\]:-]+$")
    """Origin under which a proxy shows this server, ``https://host``. None: the address it listens on."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may ask this server from a browser."""
    requests_per_second: float = Field(default=100.0, gt=0)
    """What one client may ask for at length."""
    burst: int = Field(default=1_000, ge=1)
    """What one client may ask for at once."""

"""What all configuration values share: frozen, and strict about names."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
"""Lower-case words joined by hyphens: safe as a file name, a URL segment and a collection id."""

BandName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)]
"""A band's name in arrays, assets and expressions."""

Texts = dict[Literal["kk", "ru", "en"], str]
"""A text by language: Kazakh, Russian, English."""

Days = Annotated[float, Field(gt=0, le=36_500)]
"""After how long something may happen."""


class Value(BaseModel):
    """A configuration value: immutable; an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

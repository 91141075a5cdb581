"""How an installation keeps its archive: how fast all is read through, what may go when."""

from typing import Annotated

from pydantic import Field

from configs.schema.values import Days, Value


class Retention(Value):
    """What may go when. What the catalogue names never goes; ``null`` keeps for ever."""

    superseded_days: Days | None = Field(
        default=None,
        description="earlier revisions of a product, counted from the day a newer one took their place; a recipe may "
        "set its own",
    )
    orphan_days: Days | None = Field(
        default=7,
        description="what lies in the archive and no product names; at the second place, what was never finished",
    )
    staging_hours: Annotated[float, Field(gt=0, le=24 * 365)] = Field(
        default=24, description="what an interrupted run left in staging"
    )
    quarantine_days: Days | None = Field(default=90, description="packages that could not be processed")
    landing_days: Days | None = Field(default=7, description="uploads to landing that never ended")


class KeepingConfig(Value):
    """The rules of one installation."""

    share_of_archive: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.004, description="how much of all bytes one run of keep-archive hashes again; it runs every day"
    )
    retention: Retention = Retention()

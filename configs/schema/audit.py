"""What an operator sets about the audit log, in ``HOME/configs/audit.yaml``."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

type CopyPlace = Annotated[str, Field(pattern=r"^(/.*|s3://\S+)$")]
"""A folder by its whole path, or ``s3://bucket/prefix``."""


class AuditConfig(BaseModel):
    """Everything has a default: the file need not be there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    copies: tuple[CopyPlace, ...] = ()
    """Where signed roots are written besides HOME: folders of other disks, buckets that lock what they hold. Rows that
    somebody cuts off the end of the log are missed by these. ``HOME/logs`` holds a copy in any case."""
    every_rows: int = Field(default=1_024, ge=1, le=1_000_000)
    """A root is signed after so many rows at the latest,"""
    every_seconds: float = Field(default=300.0, gt=0, le=86_400)
    """and so long after a row."""

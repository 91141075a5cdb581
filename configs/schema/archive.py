"""Where an installation publishes its products besides its own folder."""

from typing import Annotated

from pydantic import Field

from configs.schema.values import Value


class ArchiveConfig(Value):
    """A second home for every product: an S3 bucket, or a folder. Keys do not belong here."""

    url: str = Field(
        default="",
        max_length=2000,
        description="s3://bucket/prefix, or the absolute path of a folder; empty: products stay in HOME alone",
    )
    endpoint: str | None = Field(
        default=None,
        max_length=2000,
        description="http(s)://host:port of the S3 server; left out: AWS_ENDPOINT_URL, else Amazon's own of the region",
    )
    region: str | None = Field(default=None, max_length=64, description="left out: AWS_REGION, else us-east-1")
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=60.0, description="longest time for one request, of up to 32 MB"
    )

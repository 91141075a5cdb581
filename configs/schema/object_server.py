"""How the server of a bucket is reached: the same for every bucket that a setting names."""

from typing import Annotated

from pydantic import Field

from configs.schema.values import Value


class ObjectServer(Value):
    """Where an S3 server answers, and how long it may take. Keys do not belong here."""

    endpoint: str | None = Field(
        default=None,
        max_length=2000,
        description="http(s)://host:port of the S3 server; left out: AWS_ENDPOINT_URL, else Amazon's own of the region",
    )
    region: str | None = Field(default=None, max_length=64, description="left out: AWS_REGION, else us-east-1")
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=60.0, description="longest time for one request, of up to 32 MB"
    )

"""Where an installation publishes its products besides its own folder."""

from pydantic import Field

from configs.schema.object_server import ObjectServer


class ArchiveConfig(ObjectServer):
    """A second home for every product: an S3 bucket, or a folder. Keys do not belong here."""

    url: str = Field(
        default="",
        max_length=2000,
        description="s3://bucket/prefix, or the absolute path of a folder; empty: products stay in HOME alone",
    )

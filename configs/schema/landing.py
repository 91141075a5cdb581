"""How packages are taken from the landing zone."""

from typing import Annotated, Literal

from pydantic import Field

from configs.schema.object_server import ObjectServer
from configs.schema.values import Value

Minutes = Annotated[float, Field(gt=0, le=14 * 24 * 60)]


class LandingBucket(ObjectServer):
    """A prefix of an S3 bucket that packages are taken from too. Keys do not belong here."""

    url: str = Field(pattern=r"^s3://[^/\s?#@]+(/[^\s?#]*)?$", max_length=2000, description="s3://bucket/prefix")
    every_seconds: Annotated[float, Field(ge=1, le=24 * 3600)] = Field(
        default=30.0,
        description="how often the bucket is listed while the house is up: nothing rings when an object comes",
    )
    most_packages: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=16,
        description="so many packages are fetched and in work at once; the rest waits in the bucket. What is held for "
        "want of something is not counted",
    )
    most_gb: Annotated[float, Field(gt=0, le=1e6)] = Field(
        default=50.0, description="nor is more fetched while those are larger than this together, or by one look"
    )
    afterwards: Literal["delete", "move"] = Field(
        default="delete",
        description="what becomes of the objects of a package whose copy is in HOME/inputs; move: to PREFIX.taken. "
        "Those of refused packages are moved to PREFIX.quarantine",
    )


class LandingConfig(Value):
    """The rules of one installation's landing zone."""

    stable_seconds: Annotated[float, Field(ge=0, le=24 * 3600)] = Field(
        default=30, description="a package without a list of its files is whole when nothing in it changed for so long"
    )
    incomplete_minutes: Minutes = Field(
        default=60,
        description="a package whose own list names files that have not come is waited for so long after its last "
        "change, and then set aside as incomplete",
    )
    temporary: tuple[str, ...] = Field(
        default=(".part", ".partial", ".filepart", ".crdownload", ".download", ".tmp", ".upload", "~"),
        description="endings of names that a file has while it is being transferred",
    )
    markers: tuple[str, ...] = Field(
        default=(".done", ".ready", ".ok"),
        description="endings of files that a sender lays beside a package, under its name, when it is whole",
    )
    bucket: LandingBucket | None = Field(default=None, description="where packages are taken from besides HOME/landing")
    recipe: str = Field(default="l1c", description="what is made of a package")
    derive: tuple[str, ...] = Field(default=("all",), description="what is derived from that; all: whatever can be")
    vertical_datum: Literal["auto", "ellipsoid", "egm96", "egm2008"] = Field(
        default="auto", description="what the heights of HOME/auxiliary/dem count from, where its files do not say"
    )
    retry_held_minutes: Minutes = Field(
        default=30, description="a package that waits for something, such as elevations, is tried again after so long"
    )
    retry_failed_minutes: tuple[Minutes, ...] = Field(
        default=(1, 10, 60),
        description="after a run that failed or was killed, the package is tried again after so long; when all these "
        "are used up it is set aside",
    )

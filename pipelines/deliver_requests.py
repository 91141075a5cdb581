"""What is asked of the flow ``deliver-order``: the form an operator fills in."""

from pydantic import Field

from pipelines.requests import Request


class DeliverRequest(Request):
    """Make an order's package and hand it out."""

    order: str = Field(default="", description="Id of the order. Empty: all that are due, and what has come of time")
    to: str = Field(
        default="",
        description="Where the package goes: a folder, or s3://bucket/prefix. Empty: it waits to be fetched by link",
    )
    again: bool = Field(default=False, description="Make the package anew although it is there")

"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Model(StrEnum):
    """Which of a delivery's sensor models is meant."""

    RPC = "rpc"
    RIGOROUS = "rigorous"


HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of the installation. [default: $QYRAN_HOME, else ./qyran-home]", metavar="DIR"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks and detailed logs.")]
LinesOption = Annotated[
    tuple[int, int] | None,
    typer.Option("--lines", help="Only a segment: its first line, from 1, and how many.", metavar="FIRST COUNT"),
]
PackageArgument = Annotated[
    Path, typer.Argument(help="Delivered package: folder, .zip, .tar, .tif, .jp2 or RPC file.", exists=True)
]

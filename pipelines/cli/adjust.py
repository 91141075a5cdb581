"""``qyran adjust``: overlapping images brought together by what they see alike."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import configure_logging, out, plain_errors, print_json
from pipelines.requests import VerticalDatumChoice


class Correction(StrEnum):
    """What each image's model may be corrected by."""

    SHIFT = "shift"
    DRIFT = "drift"
    AFFINE = "affine"


def adjust(
    images: Annotated[
        list[Path],
        typer.Argument(help="Two or more overlapping images or delivered packages with sensor models.", exists=True),
    ],
    dem: Annotated[Path, typer.Option(help="DEM file or folder of DEM files.", exists=True)],
    out_path: Annotated[
        Path, typer.Option("--out", help="Folder for IMAGE_RPC.TXT of each image and adjustment.json.", metavar="DIR")
    ],
    vertical_datum: Annotated[
        VerticalDatumChoice, typer.Option(help="What the DEM's heights count from; auto: as its files say, or refuse.")
    ] = VerticalDatumChoice.AUTO,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            help="Image on a map that places the block: images it covers are corrected against it first. File, folder, "
            "or COLLECTION/ID of an archived product. May be given several times.",
            metavar="IMAGE",
        ),
    ] = None,
    kind: Annotated[Correction, typer.Option(help="What each model may be corrected by.")] = Correction.SHIFT,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Correct the sensor models of overlapping images so that their orthoimages agree (block adjustment).

    Corrected models are written as RPC files (RPC00B). Without a reference the block stays where the delivered
    models put it on average: the images agree with each other, not more with the map.

    Example: `qyran adjust left.tif right.tif --dem dem/ --vertical-datum egm96 --out adjusted/`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from pipelines.adjust import adjust as adjust_images

        result = adjust_images(
            images,
            dem,
            out_path,
            vertical_datum=vertical_datum.value,
            references=tuple(reference or ()),
            kind=kind.value,
            home=home,
        )
        if as_json:
            print_json(result)
        else:
            _show(result)


def _show(result: dict[str, Any]) -> None:
    pairs = Table("images", "before, m", "after, m", "spread, m", "tie points", "left out", box=None)
    for pair in result["pairs"]:
        before = "-" if pair["before_m"] is None else f"{pair['before_m']:.2f}"
        pairs.add_row(
            escape(" - ".join(pair["scenes"])),
            before,
            f"{pair['after_m']:.3f}",
            f"{pair['mad_m']:.3f}",
            str(pair["points"]),
            str(pair["rejected"]),
        )
    scenes = Table("image", "line, px", "sample, px", "model", box=None)
    for scene in result["scenes"].values():
        line, sample = scene["shift_px"]
        scenes.add_row(escape(scene["image"]), f"{line:+.2f}", f"{sample:+.2f}", escape(scene["rpc"]))
    out.print(f"[bold green]done[/] {escape(result['out'])}")
    out.print(pairs)
    out.print(scenes)

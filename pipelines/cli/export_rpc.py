"""``qyran export-rpc``: a sensor model as an RPC file for other programs."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, JsonOption, LinesOption, Model
from pipelines.cli.output import configure_logging, out, plain_errors, print_json


def export_rpc(
    image: Annotated[Path, typer.Argument(help="Image or delivered package with a sensor model.", exists=True)],
    out_path: Annotated[
        Path, typer.Option("--out", help="NAME_RPC.TXT or NAME.rpb; GDAL finds it beside NAME.tif.", metavar="PATH")
    ],
    model: Annotated[
        Model, typer.Option(help="The delivered RPC, or one fitted to the camera from orbit and attitude.")
    ] = Model.RPC,
    group: Annotated[
        str | None, typer.Option(help="Which image of a package that holds several.", metavar="ms|pan")
    ] = None,
    gcps: Annotated[
        Path | None, typer.Option(help="Ground control points to correct the model with first.", exists=True)
    ] = None,
    lines: LinesOption = None,
    heights: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="Ground the RPC is fitted for, m above the ellipsoid. [default: the delivered RPC's]",
            metavar="LOW HIGH",
        ),
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a sensor model as an RPC file (RPC00B) that GDAL, OTB and others read.

    A camera, a correction by control points and a segment are folded into the RPC by a new fit, and its error is
    measured at points that took no part in it.

    Example: `qyran export-rpc scene.zip --group ms --model rigorous --out scene_RPC.TXT`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from pipelines.export_rpc import ExportOptions
        from pipelines.export_rpc import export_rpc as write_rpc

        how = ExportOptions(model=model.value, group=group, gcps=gcps, lines=lines, heights=heights)
        result = write_rpc(image, out_path, how)
        if as_json:
            print_json(result)
        else:
            _show(result)


def _show(result: dict[str, Any]) -> None:
    low, high = result["heights_m"]
    out.print(f"[bold green]done[/] {escape(str(result['out']))}")
    out.print(f"  for {result['shape'][0]} x {result['shape'][1]} px and ground from {low:.0f} to {high:.0f} m")
    if fit := result["fit"]:
        out.print(f"  fitted: {fit['rmse_px']:.1g} px RMS, {fit['max_px']:.1g} px at most, where it was not fitted")

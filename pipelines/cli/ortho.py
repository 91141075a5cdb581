"""``qyran ortho``: orthorectify any image that has a sensor model."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption, LinesOption, Model
from pipelines.cli.output import configure_logging, out, plain_errors, print_json, progress_bar
from pipelines.requests import VerticalDatumChoice


class Resampling(StrEnum):
    """Interpolation of the image."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    CUBIC = "cubic"
    LANCZOS = "lanczos"


class Calibration(StrEnum):
    """What the output's numbers mean."""

    NONE = "none"
    RADIANCE = "radiance"
    TOA = "toa"


def ortho(
    image: Annotated[Path, typer.Argument(help="Image or delivered package with a sensor model.", exists=True)],
    dem: Annotated[Path, typer.Option(help="DEM file or folder of DEM files.", exists=True)],
    out_path: Annotated[
        Path, typer.Option("--out", help="FILE.tif (a COG) or DIR.zarr (a Zarr v3 product).", metavar="PATH")
    ],
    vertical_datum: Annotated[
        VerticalDatumChoice, typer.Option(help="What the DEM's heights count from; auto: as its files say, or refuse.")
    ] = VerticalDatumChoice.AUTO,
    crs: Annotated[str, typer.Option(help="EPSG:n, or auto for the UTM zone.")] = "auto",
    resolution: Annotated[
        float | None, typer.Option(help="Pixel size in units of the CRS. [default: the image's own]", min=1e-9)
    ] = None,
    bounds: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(help="In the CRS. [default: the image's footprint]", metavar="XMIN YMIN XMAX YMAX"),
    ] = None,
    resampling: Annotated[Resampling, typer.Option(help="Interpolation of the image.")] = Resampling.CUBIC,
    gcps: Annotated[
        Path | None, typer.Option(help="Ground control points (GeoJSON, CSV) to correct the model with.", exists=True)
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            help="Image on a map to match against and correct the model with: file, folder, or COLLECTION/ID of an "
            "archived product. May be given several times.",
            metavar="IMAGE",
        ),
    ] = None,
    home: HomeOption = None,
    calibrate: Annotated[Calibration, typer.Option(help="What the output's numbers shall mean.")] = Calibration.NONE,
    model: Annotated[
        Model, typer.Option(help="Sensor model: the delivered RPC, or the camera from orbit and attitude.")
    ] = Model.RPC,
    lines: LinesOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Orthorectify an image over a DEM. Needs no catalogue: the drop-in for `gdalwarp -rpc`.

    It refuses a DEM whose vertical datum is neither stated by its files nor given here.

    Example: `qyran ortho scene.tif --dem dem/ --vertical-datum egm96 --resolution 2 --out ortho.tif`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from pipelines.ortho import OrthoOptions
        from pipelines.ortho import ortho as orthorectify_image

        with progress_bar("orthorectifying") as report:
            result = orthorectify_image(
                image,
                dem,
                out_path,
                OrthoOptions(
                    vertical_datum=vertical_datum.value,
                    crs=None if crs == "auto" else crs,
                    resolution=resolution,
                    bounds=bounds,
                    resampling=resampling.value,
                    gcps=gcps,
                    references=tuple(reference or ()),
                    home=home,
                    calibrate=calibrate.value,
                    model=model.value,
                    lines=lines,
                ),
                progress=report,
            )
        if as_json:
            print_json(result)
        else:
            _show(result)


def _show(result: dict[str, Any]) -> None:
    rows, columns = result["shape"][-2:]
    out.print(f"[bold green]done[/] {escape(str(result['out']))}")
    out.print(
        f"  {columns} x {rows} px in {escape(str(result['crs']))}, {result['seconds']:.1f} s, "
        f"{result['megapixels_per_second']:.2f} Mpx/s"
    )
    refinement = result.get("refinement")
    if refinement and refinement.get("model") not in (None, "none"):
        out.print(f"  model corrected: {escape(str(refinement))}")

"""``qyran info``: what a package is, without reading a pixel."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from pipelines.cli.options import DebugOption, HomeOption, JsonOption, PackageArgument
from pipelines.cli.output import configure_logging, out, plain_errors, print_json


def info(
    package: PackageArgument, home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """What a package is: mission, bands, calibration, time, angles, footprint, model. Reads no pixels.

    Example: `qyran info DS_DZHR1_202604240616_PS1_PX_E076N43_0307_00969.zip`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from pipelines.inspect import package_info

        facts = package_info(package, home)
        if as_json:
            print_json(facts)
        else:
            _show(facts)


def _show(facts: dict[str, Any]) -> None:
    integrity = facts["integrity"]
    out.print(f"[bold]{escape(facts['delivery_id'])}[/]  {escape(facts['format'])}")
    out.print(f"  {integrity['files']} files, {integrity['bytes'] / 1e6:.1f} MB, sha256 {integrity['sha256'][:16]}…")
    for scene in facts["scenes"]:
        lines, samples = scene["shape"]
        out.print(
            f"\n[bold]{escape(scene['sensor'])}[/] {escape(scene['group'])}: {lines} x {samples} px, "
            f"level {escape(str(scene['level']))}, acquired {escape(str(scene['acquired']))}"
        )
        out.print(_bands(scene["bands"]))
        known = [f"{name.removesuffix('_deg')} {value:.2f}°" for name, value in _angles(scene) if value is not None]
        out.print(f"  angles: {', '.join(known) or 'not stated'}")
        corners = ", ".join(f"{lon:.4f} {lat:.4f}" for lon, lat in scene.get("footprint") or ())
        out.print(f"  footprint (lon lat): {corners or 'not stated'}")
        out.print(f"  sensor model: {escape(_model(scene.get('model')))}")
        if rigorous := scene.get("rigorous"):
            out.print(f"  rigorous model: {escape(_rigorous(rigorous))}")
        if not scene.get("has_pixels", True):
            out.print(f"  [yellow]no pixels[/]: {escape(str(scene.get('no_pixels')))}")
        for warning in scene.get("warnings") or ():
            out.print(f"  [yellow]note[/] {escape(str(warning))}")


def _model(model: dict[str, Any] | None) -> str:
    if not model:
        return "none"
    facts = ", ".join(f"{name} {value}" for name, value in model.items() if name != "kind" and value is not None)
    return f"{model.get('kind', 'unknown')} ({facts})"


def _rigorous(model: dict[str, Any]) -> str:
    apart = model.get("rpc_difference_px")
    figures = f"{model['attitude']} attitude, {model['orbit_points']} orbit points"
    if apart is None:
        return f"{model['kind']} ({figures})"
    return (
        f"{model['kind']} ({figures}); the RPC is up to {apart['max_px']:.3f} px from it, "
        f"{apart['spread_px']:.4f} px but for a shift"
    )


def _angles(scene: dict[str, Any]) -> list[tuple[str, float | None]]:
    return list((scene.get("angles") or {}).items())


def _bands(bands: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2))
    for title in ("band", "label", "in file", "centre nm", "gain", "bias", "rule", "ESUN", "from"):
        table.add_column(title, justify="left" if title in ("band", "label", "rule", "from") else "right")
    for band in bands:
        keys = ("name", "label", "index", "centre_nm", "gain", "bias", "rule", "esun", "esun_source")
        table.add_row(*(_cell(band.get(key)) for key in keys))
    return table


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else escape(str(value))

"""``qyran passes``: which satellite passes which station when, and what it can image."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import configure_logging, err, out, plain_errors, print_json

if TYPE_CHECKING:
    from pipelines.passes import Forecast, StationPass, TargetPass

_COLUMNS = 96
"""Of the picture: a quarter of an hour each."""
_LIGHT = {"day": "yellow", "twilight": "magenta", "night": "blue"}
_WINDS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")


def passes(
    tle: Annotated[
        Path | None,
        typer.Option(
            help="File of two-line elements. [default: HOME/auxiliary/tle]", exists=True, dir_okay=False, metavar="FILE"
        ),
    ] = None,
    station: Annotated[
        str | None,
        typer.Option(help="Id or name of one station. [default: all that receive something]", metavar="NAME"),
    ] = None,
    satellite: Annotated[
        str | None, typer.Option(help="Mission, name or NORAD number of one satellite.", metavar="NAME")
    ] = None,
    days: Annotated[float, typer.Option(help="How far ahead.", min=0.01, max=60)] = 3.0,
    start: Annotated[
        str | None, typer.Option(help="ISO time to begin at, UTC unless it says otherwise. [default: now]")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Predict passes over stations, and when targets can be imaged.

    Times are UTC, elevations geometric (no refraction). A pass begins and ends at the station's skyline; under way at
    the start or the end of the forecast it is told whole. Targets are GeoJSON in `HOME/configs/targets`; the roll is
    what the satellite must turn by, positive to the right of its way.

    Example: `qyran passes --station astana --days 2`
    """
    configure_logging(debug=debug)
    begin = _moment(start)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.passes import Wanted, forecast, forecast_document

        wanted = Wanted(start=begin, days=days, tle=tle, station=station, satellite=satellite)
        found = forecast(Home.resolve(home), wanted)
        for warning in found.warnings:
            err.print(f"[yellow]warning[/] {escape(warning)}")
        if as_json:
            print_json(forecast_document(found))
        else:
            _show(found)


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("a time is written 2026-11-23T06:00", param_hint="--start") from error
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _show(found: "Forecast") -> None:
    if found.passes:
        for line in _picture(found):
            out.print(line)
        out.print(_pass_table(found))
    else:
        out.print(f"no pass between {found.start:%Y-%m-%d %H:%M} and {found.end:%Y-%m-%d %H:%M} UTC")
    if found.targets:
        out.print()
        out.print(_target_table(found.targets))
    high = sum(each.what.max_elevation_deg >= 30 for each in found.passes)
    out.print(
        f"{len(found.passes)} passes ({high} above 30°), {len(found.targets)} chances to image a target,"
        f" {found.start:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC, no refraction"
    )


def _picture(found: "Forecast") -> Iterator[str]:
    """A line a day and satellite: a quarter of an hour a column, the higher the pass the taller its mark."""
    marks = "▂▃▅▆█"
    names = sorted({each.satellite for each in found.passes})
    width = max(len(name) for name in names)
    first = found.start.replace(hour=0, minute=0, second=0, microsecond=0)
    hours = "".join(f"{hour:02d}".ljust(12) for hour in range(0, 24, 3))
    yield f"[dim]{'':10} {'':{width}} {hours}UTC[/]"
    for number in range((found.end - first).days + 1):
        day = first + timedelta(days=number)
        for name in names:
            line = ["[dim]·[/]"] * _COLUMNS
            for each in found.passes:
                at = int((each.what.tca - day).total_seconds() // 900)
                if each.satellite == name and 0 <= at < _COLUMNS:
                    colour = _LIGHT[_light(each)]
                    line[at] = f"[{colour}]{marks[min(4, int(each.what.max_elevation_deg // 18))]}[/]"
            yield f"{day:%Y-%m-%d} {escape(name):{width}} {''.join(line)}"
    legend = ", ".join(f"[{colour}]{word}[/]" for word, colour in _LIGHT.items())
    yield f"[dim]{'':10} {'':{width}} the taller, the higher; below the satellite it is[/] {legend}\n"


def _pass_table(found: "Forecast") -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for title in ("date", "AOS", "TCA", "LOS"):
        table.add_column(title)
    table.add_column("min", justify="right")
    for title in ("station", "satellite"):
        table.add_column(title)
    table.add_column("orbit", justify="right")
    table.add_column("max el", justify="right")
    table.add_column("from - over - to")
    table.add_column("")
    table.add_column("sun here", justify="right")
    table.add_column("sun below", justify="right")
    table.add_column("targets")
    for each in found.passes:
        what = each.what
        colour = _LIGHT[_light(each)]
        targets = [target.what.target for target in found.targets if target.downlink == each.key]
        table.add_row(
            f"{what.aos:%Y-%m-%d}",
            f"{what.aos:%H:%M:%S}",
            f"{what.tca:%H:%M:%S}",
            f"{what.los:%H:%M:%S}",
            f"{what.duration_s / 60:.1f}",
            each.station,
            escape(each.satellite),
            str(what.orbit),
            f"{what.max_elevation_deg:.1f}°",
            " ".join(_wind(azimuth) for azimuth in (what.aos_azimuth_deg, what.tca_azimuth_deg, what.los_azimuth_deg)),
            "↑" if what.ascending else "↓",
            f"{what.sun_elevation_deg:.0f}°",
            f"[{colour}]{what.nadir_sun_elevation_deg:.0f}°[/]",
            escape(", ".join(dict.fromkeys(targets))),
            style="bold" if what.max_elevation_deg >= 30 else None,
        )
    return table


def _target_table(targets: "tuple[TargetPass, ...]") -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("target")
    table.add_column("time")
    table.add_column("satellite")
    for title in ("orbit", "roll", "covered", "sun"):
        table.add_column(title, justify="right")
    table.add_column("comes down with")
    for each in targets:
        what = each.what
        table.add_row(
            escape(what.target),
            f"{what.time:%Y-%m-%d %H:%M:%S}",
            escape(each.satellite),
            str(what.orbit),
            f"{what.roll_deg:+.1f}°",
            f"{what.covered_percent:.0f} %",
            f"{what.sun_elevation_deg:.0f}°",
            each.downlink or "-",
            style="dim" if what.sun_elevation_deg < 5 else None,
        )
    return table


def _light(each: "StationPass") -> str:
    from pipelines.passes_find import light

    return light(each.what.nadir_sun_elevation_deg)


def _wind(azimuth_deg: float) -> str:
    return _WINDS[round(azimuth_deg / 45.0) % 8]

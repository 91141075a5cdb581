"""``qyran subscription``: what customers want delivered by itself: added, listed, paused, ended, seen to at once."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from catalogs.delivery.order import Format
from catalogs.delivery.subscriptions import NewVersions, SubscriptionState
from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import configure_logging, out, plain_errors, print_json

subscription = typer.Typer(
    name="subscription",
    help="Subscriptions: new images of an area ordered and delivered by themselves. Example: `qyran subscription add "
    "--area field.geojson --collection kazeosat-1-l1c --customer \"Akimat of Almaty\" --mail gis@almaty.example`. "
    "`qyran up` sees to them when something is new. All options: `qyran subscription add --help`; `--json` everywhere.",
    no_args_is_help=True, add_completion=False, rich_markup_mode="markdown",
)  # fmt: skip
IdArgument = Annotated[str, typer.Argument(help="Id of the subscription.", metavar="SUBSCRIPTION")]
CustomerOption = Annotated[str | None, typer.Option(help="Only this one's: id or name.", metavar="NAME")]


@subscription.command("add")
def add_command(
    area: Annotated[Path, typer.Option(help="GeoJSON file of the area.", exists=True, dir_okay=False)],
    collection: Annotated[list[str] | None, typer.Option(help="Images of this collection; may be repeated.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Products of this recipe.", metavar="NAME")] = None,
    customer: Annotated[
        str | None, typer.Option(help="For whom: id or name. [default: the house itself]", metavar="NAME")
    ] = None,
    cloud: Annotated[float | None, typer.Option(help="At most so many percent of cloud.", min=0, max=100)] = None,
    until: Annotated[str | None, typer.Option(help="When it ends by itself.", metavar="DATE")] = None,
    clip: Annotated[bool, typer.Option(help="Cut images to the area.")] = True,
    crs: Annotated[
        str | None, typer.Option(help="Map to put them on. [default: as archived]", metavar="EPSG:n")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="COGs, one a band, or one Zarr store.")] = Format.COG,
    bands: Annotated[str | None, typer.Option(help="Only these. [default: all]", metavar="NAME,NAME")] = None,
    accept_licence: Annotated[
        str | None, typer.Option(help="Licence that the customer accepts for all that comes.", metavar="NAME")
    ] = None,
    new_versions: Annotated[
        NewVersions, typer.Option(help="What is done when something delivered has a new version.")
    ] = NewVersions.ANNOUNCE,
    km2_month: Annotated[float | None, typer.Option(help="At most so many km2 in a month.")] = None,
    amount_month: Annotated[float | None, typer.Option(help="At most so much money in a month.")] = None,
    webhook: Annotated[str | None, typer.Option(help="Where notices are posted to.", metavar="URL")] = None,
    mail: Annotated[str | None, typer.Option(help="Where notices are mailed to.", metavar="ADDRESS")] = None,
    language: Annotated[str, typer.Option(help="Of the letters: en, kk or ru.")] = "en",
    quote: Annotated[bool, typer.Option("--quote", help="Only say what to expect.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Subscribe to an area. `--json` prints the subscription, what to expect of it, and once its webhook's secret.

    Example: `qyran subscription add --area field.geojson --recipe ndvi --cloud 30 --customer "Akimat of Almaty"
    --webhook https://gis.almaty.example/hooks/eo`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from catalogs.delivery.order_area import read_clip
        from catalogs.delivery.order_desk import HOUSE
        from catalogs.delivery.subscriptions_desk import forecast, open_subscriptions, secret_of, subscribe
        from configs.settings import Home

        request = _request(
            area=read_clip(area.read_bytes()), collections=tuple(collection or ()), recipe=recipe, cloud_cover=cloud,
            ends=_day(until), new_versions=new_versions,
            order={"clip": clip, "crs": crs, "format": form, "bands": bands.split(",") if bands else None,
                   "licence_accepted": accept_licence},
            limits={"km2_month": _exact(km2_month), "amount_month": _exact(amount_month)},
            notify={"webhook": webhook, "mail": mail, "language": language},
        )  # fmt: skip
        with open_subscriptions(Home.resolve(home).path) as place:
            asking = place.desk.asking(HOUSE if customer is None else place.desk.customers.party(customer))
            if quote:
                expected = forecast(place, asking, request)
                print_json(expected) if as_json else out.print("\n".join(expected["words"]))
                return
            found, expected = subscribe(place, asking, request, by=HOUSE.id)
            secret = secret_of(place.desk.home, found)
        if as_json:
            print_json(found.public(operator=True) | {"forecast": expected, "secret": secret})
            return
        out.print("\n".join([f"[bold]{found.id}[/]", *map(escape, expected["words"])]))
        if secret is not None:
            out.print(f"Secret of its webhook, shown this once: {secret}")


def _request(**fields: Any) -> Any:
    from pydantic import ValidationError

    from catalogs.delivery.subscriptions import SubscriptionRequest

    try:
        return SubscriptionRequest.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(str(first["msg"]), param_hint=".".join(str(part) for part in first["loc"])) from error


def _day(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("write 2027-01-31 or 2027-01-31T12:00:00Z", param_hint="--until") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _exact(value: float | None) -> str | None:
    return None if value is None else repr(value)


@subscription.command("list")
def list_command(
    customer: CustomerOption = None,
    state: Annotated[list[SubscriptionState] | None, typer.Option(help="Only in this state; may be repeated.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List subscriptions, newest first.

    Example: `qyran subscription list --state active --json`
    """

    def work(place: Any) -> list[Any]:
        return list(place.store.listed(customer=_id_of(place, customer), states=state or ()))

    found = _with(work, home, as_json=as_json, debug=debug)
    if as_json:
        print_json({"subscriptions": [one.public(operator=True) for one in found]})
        return
    table = Table("subscription", "state", "customer", "of", "since", box=None)
    for one in found:
        what = ", ".join((*one.request.collections, *([one.request.recipe] if one.request.recipe else [])))
        table.add_row(one.id, str(one.state), one.customer, what, f"{one.since:%Y-%m-%d %H:%M}")
    out.print(table if found else "no subscriptions")


@subscription.command("show")
def show_command(
    subscription_id: IdArgument, home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """Show a subscription with what it has met with: what was ordered, what was not, and why.

    Example: `qyran subscription show sub-20261123-33cd49d0a72abf3d88d287ceded9b5a4`
    """

    def work(place: Any) -> Any:
        found = place.store.find(subscription_id)
        return found, [one.public() for one in place.store.met(found.id, limit=1_000)]

    found, met = _with(work, home, as_json=as_json, debug=debug)
    if as_json:
        print_json(found.public(operator=True) | {"items": met})
        return
    _show(found)
    for one in met:
        out.print(f"  {one['since']} {one['item']}  {one['outcome']}  {one['order'] or one['reason'] or ''}")


@subscription.command("pause")
def pause_command(
    subscription_id: IdArgument, home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """Stop for a while. What is catalogued meanwhile is not ordered, later neither.

    Example: `qyran subscription pause sub-20261123-33cd49d0a72abf3d88d287ceded9b5a4`
    """
    _step("pause", subscription_id, home, as_json=as_json, debug=debug)


@subscription.command("resume")
def resume_command(
    subscription_id: IdArgument, home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """Go on, with what is catalogued from now on.

    Example: `qyran subscription resume sub-20261123-33cd49d0a72abf3d88d287ceded9b5a4`
    """
    _step("resume", subscription_id, home, as_json=as_json, debug=debug)


@subscription.command("end")
def end_command(
    subscription_id: IdArgument, home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """End it for good. What it has ordered goes on.

    Example: `qyran subscription end sub-20261123-33cd49d0a72abf3d88d287ceded9b5a4`
    """
    _step("end", subscription_id, home, as_json=as_json, debug=debug)


@subscription.command("notices")
def notices_command(
    customer: CustomerOption = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 100,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List what customers were told, newest first, and which webhook did not answer.

    Example: `qyran subscription notices --customer "Akimat of Almaty"`
    """

    def work(place: Any) -> list[dict[str, Any]]:
        from catalogs.delivery.subscriptions_send import notices

        return notices(place, customer=_id_of(place, customer), limit=limit)

    found = _with(work, home, as_json=as_json, debug=debug)
    if as_json:
        print_json({"notices": found})
        return
    for one in found:
        ways = ", ".join(f"{way['channel']} {way['state']} {way['fault'] or ''}".strip() for way in one["sent"])
        out.print(f"{one['timestamp']} {one['type']} {one['data'].get('item', '')}  {escape(ways)}")


@subscription.command("run")
def run_command(home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """See to all subscriptions here and now: what `qyran up` does by itself.

    Example: `qyran subscription run --json`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.subscriptions_serve import serve

        record = serve(Home.resolve(home).path)
        if as_json:
            print_json(record)
            return
        sent = record["notices"]
        out.print(
            f"{record['subscriptions']} subscriptions, {record['orders']} orders, {record['announced']} announcements, "
            f"{sent['sent']} notices sent, {sent['later']} tried again later"
        )


def _id_of(place: Any, customer: str | None) -> str | None:
    from catalogs.delivery.order_desk import HOUSE

    return customer if customer in (None, HOUSE.id) else str(place.desk.customers.get(customer).id)


def _step(act: str, subscription_id: str, home: Path | None, *, as_json: bool, debug: bool) -> None:
    def work(place: Any) -> Any:
        from catalogs.delivery import subscriptions_desk
        from catalogs.delivery.order_desk import HOUSE

        return getattr(subscriptions_desk, act)(place, subscription_id, HOUSE.id)

    found = _with(work, home, as_json=as_json, debug=debug)
    if as_json:
        print_json(found.public(operator=True))
    else:
        _show(found)


def _with(work: Any, home: Path | None, *, as_json: bool, debug: bool) -> Any:
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from catalogs.delivery.subscriptions_desk import open_subscriptions
        from configs.settings import Home

        with open_subscriptions(Home.resolve(home).path) as place:
            return work(place)


def _show(found: Any) -> None:
    ends = "" if found.request.ends is None else f", ends {found.request.ends:%Y-%m-%d %H:%M}"
    out.print(f"[bold]{found.state}[/] {found.id}  for {found.customer}, since {found.since:%Y-%m-%d %H:%M}{ends}")

"""``qyran order``: order items and have them delivered; see what became of orders, and decide about those that wait."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from catalogs.delivery.order import Format, Order, OrderState
from catalogs.policy.terms import Purpose
from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.order_trace import trace_command
from pipelines.cli.output import FAILED, configure_logging, err, out, plain_errors, print_json, progress_bar

_PLACE = "place"
_BAD = (OrderState.FAILED, OrderState.REJECTED)


class _Order(TyperGroup):
    """``qyran order ITEM...`` is ``qyran order place ITEM...``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = next((word for word in args if not word.startswith("-")), None)
        if args and args != ["--help"] and first not in self.commands:
            args = [_PLACE, *args]
        return super().parse_args(ctx, args)


order = typer.Typer(
    name="order",
    cls=_Order,
    help="Order items: cut out, reprojected, in the form that is wanted, as far as policy lets the customer have them. "
    "Example: `qyran order KZ1_20260424T052011_5F0C1A2B_L1C --clip field.geojson --to deliveries/`. All options: "
    "`qyran order place --help`.",
    no_args_is_help=True, add_completion=False, rich_markup_mode="markdown",
)  # fmt: skip
OrderArgument = Annotated[str, typer.Argument(help="Id of the order.", metavar="ORDER")]
ToOption = Annotated[str | None, typer.Option(help="Folder or bucket for the package.", metavar="DIR|s3://..")]
OfficerOption = Annotated[
    str, typer.Option("--officer", help="The officer who says so: a customer account with that right.", metavar="NAME")
]


@order.command(_PLACE)
def place_command(
    items: Annotated[list[str], typer.Argument(help="COLLECTION/ID, or an ID alone.", metavar="ITEM...")],
    customer: Annotated[
        str | None, typer.Option(help="For whom: id or name. [default: the house itself]", metavar="NAME")
    ] = None,
    clip: Annotated[
        Path | None, typer.Option(help="GeoJSON file of the area to cut out.", exists=True, dir_okay=False)
    ] = None,
    crs: Annotated[str | None, typer.Option(help="Map to put it on. [default: as archived]", metavar="EPSG:n")] = None,
    form: Annotated[Format, typer.Option("--format", help="COGs, one a band, or one Zarr store.")] = Format.COG,
    bands: Annotated[str | None, typer.Option(help="Only these. [default: all]", metavar="NAME,NAME")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="The product of this recipe that derives from each item.", metavar="NAME")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(help="Folder or bucket for the package. [default: it waits to be downloaded]",
                     metavar="DIR|s3://.."),
    ] = None,
    accept_licence: Annotated[
        str | None, typer.Option(help="Licence that the customer accepts with it.", metavar="NAME")
    ] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Deliver what may be, even if not all may.")] = False,
    purpose: Annotated[Purpose, typer.Option(help="What it is for, as an officer has confirmed.")] = Purpose.ROUTINE,
    key: Annotated[str | None, typer.Option(help="The same key again is the same order.", metavar="TEXT")] = None,
    quote: Annotated[bool, typer.Option("--quote", help="Only say what it would come to.")] = False,
    wait: Annotated[bool, typer.Option(help="Deliver here and now; else `qyran up` does.")] = True,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:  # fmt: skip
    """Order items and deliver them here and now. `--json` prints the order, with what became of it.

    An order that policy holds, or that is not paid, is kept and waits. Exits with 1 where it was refused or failed.

    Example: `qyran order KZ1_20260424T052011_5F0C1A2B_L1C --customer "Akimat of Almaty" --clip field.geojson
    --crs EPSG:32643 --to deliveries/`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from catalogs.delivery.order import OrderRequest
        from catalogs.delivery.order_area import read_clip
        from catalogs.delivery.order_desk import open_desk
        from configs.settings import Home
        from pipelines.order_run import ask_price, deliver_now, place_order

        place = Home.resolve(home)
        request = _request(
            OrderRequest, items=tuple(items), clip=None if clip is None else read_clip(clip.read_bytes()), crs=crs,
            format=form, bands=None if bands is None else tuple(bands.split(",")), recipe=recipe, partial=partial,
            licence_accepted=accept_licence, purpose=purpose, submission_key=key,
        )  # fmt: skip
        with open_desk(place.path) as desk:
            if quote:
                _show_quote(ask_price(desk, customer, request).public(operator=True), as_json=as_json)
                return
            placed = place_order(desk, customer, request)
        outcome: dict[str, Any] | None = None
        if wait and placed.state not in (OrderState.HELD, OrderState.CANCELLED, OrderState.EXPIRED):
            with progress_bar("delivering") as report:
                outcome = _deliver(deliver_now, place.path, placed.id, to, report)
        with open_desk(place.path) as desk:
            placed = desk.orders.find(placed.id)
        _show(placed, as_json=as_json, outcome=outcome)
        if placed.state in _BAD:
            raise typer.Exit(FAILED)


def _request(model: Any, **fields: Any) -> Any:
    from pydantic import ValidationError

    try:
        return model(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(str(first["msg"]), param_hint=".".join(str(part) for part in first["loc"])) from error


def _deliver(run: Any, home: Path, order_id: str, to: str | None, report: Any) -> dict[str, Any]:
    from pipelines.deliver_requests import DeliverRequest

    found: list[dict[str, Any]] = run(DeliverRequest(home=str(home), order=order_id, to=_target(to)), report=report)
    return found[0]


def _target(to: str | None) -> str:
    """Where a package goes, whichever folder the flow runs in."""
    return str(Path(to).expanduser().absolute()) if to and "://" not in to else to or ""


@order.command("list")
def list_command(
    customer: Annotated[str | None, typer.Option(help="Only this one's: id or name.", metavar="NAME")] = None,
    state: Annotated[list[OrderState] | None, typer.Option(help="Only in this state; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 100,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List orders, newest first.

    Example: `qyran order list --state held --json`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from catalogs.delivery.order_desk import HOUSE, open_desk
        from configs.settings import Home

        with open_desk(Home.resolve(home).path) as desk:
            name = customer if customer in (None, HOUSE.id) else desk.customers.get(customer).id
            found = desk.orders.listed(customer=name, states=state or (), limit=limit)
        if as_json:
            print_json({"orders": [entry.public(operator=True) for entry in found]})
            return
        table = Table("order", "state", "customer", "items", "km2", "price", "since", box=None)
        for entry in found:
            price = f"{entry.price.amount} {entry.price.currency}"
            table.add_row(
                entry.id, f"{entry.state} ({entry.history[-1].reason})", escape(entry.customer_name),
                str(len(entry.items)), str(entry.km2), price, f"{entry.updated:%Y-%m-%d %H:%M}",
            )  # fmt: skip
        out.print(table if found else "no orders")


@order.command("show")
def show_command(
    order_id: OrderArgument, home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """Show an order with its history.

    Example: `qyran order show 20261123-33cd49d0a72abf3d88d287ceded9b5a4`
    """
    _with_desk(lambda desk: desk.orders.find(order_id), home, as_json=as_json, debug=debug)


@order.command("cancel")
def cancel_command(
    order_id: OrderArgument, home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """Call an order off, before anything of it was handed out.

    Example: `qyran order cancel 20261123-33cd49d0a72abf3d88d287ceded9b5a4`
    """
    from catalogs.delivery.order_decisions import cancel
    from catalogs.delivery.order_desk import HOUSE

    _with_desk(lambda desk: cancel(desk, order_id, HOUSE.id), home, as_json=as_json, debug=debug)


@order.command("approve")
def approve_command(
    order_id: OrderArgument,
    officer: OfficerOption,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """An officer's yes to an order that policy holds. Where it wants two, they are different ones.

    Example: `qyran order approve 20261123-33cd49d0a72abf3d88d287ceded9b5a4 --officer aigul`
    """
    from catalogs.delivery.order_decisions import approve
    from pipelines.order_run import require_officer

    _with_desk(lambda desk: approve(desk, order_id, require_officer(desk, officer)), home, as_json=as_json, debug=debug)


@order.command("reject")
def reject_command(
    order_id: OrderArgument,
    officer: OfficerOption,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """An officer's no.

    Example: `qyran order reject 20261123-33cd49d0a72abf3d88d287ceded9b5a4 --officer aigul`
    """
    from catalogs.delivery.order_decisions import reject
    from pipelines.order_run import require_officer

    _with_desk(
        lambda desk: reject(desk, order_id, require_officer(desk, officer), "officer.rejected"),
        home, as_json=as_json, debug=debug,
    )  # fmt: skip


@order.command("paid")
def paid_command(
    order_id: OrderArgument, home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """The house has the money for an order.

    Example: `qyran order paid 20261123-33cd49d0a72abf3d88d287ceded9b5a4`
    """
    from catalogs.delivery.order_decisions import mark_paid
    from catalogs.delivery.order_desk import HOUSE

    _with_desk(lambda desk: mark_paid(desk, order_id, HOUSE.id), home, as_json=as_json, debug=debug)


@order.command("deliver")
def deliver_command(
    order_id: Annotated[str, typer.Argument(help="Id of the order. [default: all that are due]", metavar="ORDER")] = "",
    to: ToOption = None,
    again: Annotated[bool, typer.Option("--again", help="Make the package anew although it is there.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Deliver an order here and now, or all that are due: what `qyran up` does by itself.

    Example: `qyran order deliver 20261123-33cd49d0a72abf3d88d287ceded9b5a4 --to s3://customer-bucket/deliveries`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.deliver_requests import DeliverRequest
        from pipelines.order_run import deliver_now

        asked = DeliverRequest(home=str(Home.resolve(home).path), order=order_id, to=_target(to), again=again)
        with progress_bar("delivering") as report:
            found = deliver_now(asked, report=report)
        if as_json:
            print_json({"orders": found})
        for one in found if not as_json else ():
            out.print(f"[bold]{one['state']}[/] {one['order']} {escape(one['delivered_to'] or one['package'] or '')}")
        if any(outcome["state"] in _BAD for outcome in found):
            raise typer.Exit(FAILED)


order.command("trace")(trace_command)


def _with_desk(work: Any, home: Path | None, *, as_json: bool, debug: bool) -> None:
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from catalogs.delivery.order_desk import open_desk
        from configs.settings import Home

        with open_desk(Home.resolve(home).path) as desk:
            found = work(desk)
        _show(found, as_json=as_json)


def _show(shown: Order, *, as_json: bool, outcome: dict[str, Any] | None = None) -> None:
    if as_json:
        print_json(shown.public(operator=True) | {"delivery": outcome})
        return
    price = f"{shown.price.amount} {shown.price.currency}"
    out.print(f"[bold]{shown.state}[/] {shown.id}  {shown.km2} km2, {price}, for {escape(shown.customer_name)}")
    for item in shown.items:
        out.print(f"  {item.name}  {item.ruling.effect}")
    for left in shown.left_out:
        err.print(f"  left out: {escape(left.item)} ({left.reason})")
    for event in shown.history:
        note = f": {event.note}" if event.note else ""
        out.print(f"  {event.time:%Y-%m-%d %H:%M:%S} {event.state} ({event.reason}) by {event.by}{escape(note)}")
    if outcome is not None and (outcome["delivered_to"] or outcome["package"]):
        out.print(f"  package: {escape(outcome['delivered_to'] or outcome['package'])}")


def _show_quote(quote: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(quote)
        return
    out.print(f"[bold]{quote['decision']}[/]  {quote['km2']} km2, {quote['amount']} {quote['currency']}")
    for licence in quote["licences"]:
        out.print(f"  licence to be accepted: {licence}")
    for item in quote["items"]:
        out.print(f"  {item['collection']}/{item['id']}  {item['km2']} km2  {item['amount']}  {item['decision']}")

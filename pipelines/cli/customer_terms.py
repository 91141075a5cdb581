"""``qyran customer contract|licence|quota``: under which terms a customer comes in."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import configure_logging, out, plain_errors

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of the customer.", show_default=False)]


def customers_desk(home: Path | None, *, as_json: bool, debug: bool) -> Any:
    """The customers' desk, with plain errors around it."""
    from pipelines.customers import desk

    configure_logging(debug=debug)
    return desk(home, as_json=as_json, errors=plain_errors(as_json=as_json, debug=debug))


def contract(
    name: NameArgument,
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="Number of the contract.", show_default=False)],
    starts: Annotated[datetime, typer.Option("--from", help="First day.", formats=["%Y-%m-%d"])],
    ends: Annotated[
        datetime | None, typer.Option("--until", help="Day from which it holds no more.", formats=["%Y-%m-%d"])
    ] = None,
    note: Annotated[str | None, typer.Option("--note", help="What it is about.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Record a contract, or change the dates of one.

    Example: `qyran customer contract "Akimat of Almaty" 2026/17 --from 2026-01-01 --until 2027-01-01`
    """
    from catalogs.customers.accounts import Contract

    with customers_desk(home, as_json=as_json, debug=debug) as opened:
        found = opened.customers.get(name)
        until = None if ends is None else ends.replace(tzinfo=UTC)
        opened.customers.put_contract(
            found.id, Contract(number=number, starts=starts.replace(tzinfo=UTC), ends=until, note=note)
        )
        opened.record("customer.contract", found.id, {})
        known = list(opened.customers.contracts(found.id))
        opened.show({"customer": found.id, "contracts": known}, lambda: out.print(f"{len(known)} contracts"))


def licence(
    name: NameArgument,
    licence_name: Annotated[str, typer.Argument(metavar="LICENCE", help="Name of the licence.", show_default=False)],
    version: Annotated[str, typer.Option("--version", help="Version that was signed.")] = "1",
    by: Annotated[str | None, typer.Option("--by", help="Who signed it.")] = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="It holds no more.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Record that a customer has signed a licence, on paper or elsewhere, or that it holds no more.

    Example: `qyran customer licence "Geo Export Ltd" kz-export-eula-2 --version 2 --by "J. Smith"`
    """
    if not withdraw and by is None:
        raise typer.BadParameter("say --by whom it was signed")
    with customers_desk(home, as_json=as_json, debug=debug) as opened:
        found = opened.customers.get(name)
        if withdraw:
            opened.customers.withdraw_licence(found.id, licence_name)
        else:
            opened.customers.accept_licence(found.id, licence_name, version, by or "")
        action = "licence.withdrawn" if withdraw else "licence.accepted"
        opened.record(action, found.id, {"licence": licence_name, "version": version})
        known = list(opened.customers.licences(found.id))
        opened.show({"customer": found.id, "licences": known}, lambda: out.print(f"{len(known)} licences on record"))


def quota(
    name: NameArgument,
    km2: Annotated[float | None, typer.Option("--km2", help="Square kilometres a month.", min=0)] = None,
    gb: Annotated[float | None, typer.Option("--gb", help="Gigabytes a month.", min=0)] = None,
    requests: Annotated[int | None, typer.Option("--requests", help="Requests a month.", min=0)] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Requests a second, at length.", min=0.01)] = None,
    burst: Annotated[int | None, typer.Option("--burst", help="Requests at once.", min=1)] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Set what a customer may use in a month and how fast; what is not named is without limit.

    Example: `qyran customer quota "Geo Export Ltd" --km2 10000 --gb 200 --rate 5`
    """
    from catalogs.customers.accounts import Quota

    with customers_desk(home, as_json=as_json, debug=debug) as opened:
        found = opened.customers.get(name)
        opened.customers.set_quota(
            found.id, Quota(km2_month=km2, gb_month=gb, requests_month=requests, per_second=rate, burst=burst)
        )
        left = opened.customers.quota_left(found.id)
        opened.show(
            {"customer": found.id, "quota": opened.customers.quota(found.id), "left": left},
            lambda: out.print(
                ", ".join(f"{name}: {'no limit' if rest is None else rest}" for name, rest in left.items())
            ),
        )

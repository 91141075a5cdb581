"""``qyran audit``: what stands on record, and whether it still is what was written."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, err, out, plain_errors, print_json

audit = typer.Typer(
    name="audit",
    help="The audit log: who was given what, when, under which rule.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
SinceOption = Annotated[
    datetime | None, typer.Option("--since", help="Only from this day on (UTC).", formats=["%Y-%m-%d"])
]


@audit.callback()
def _group() -> None:
    pass


@audit.command()
def verify(
    copies: Annotated[
        list[Path] | None,
        typer.Option("--copy", help="File of signed roots that was kept elsewhere.", exists=True, dir_okay=False),
    ] = None,
    public_key: Annotated[
        str | None,
        typer.Option(
            "--public-key", help="The one key that may have signed, as noted elsewhere.", metavar="ed25519:.."
        ),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Hold every row against its hash and its neighbours, and every signed root, here and in its copies, against all.

    Finds rows that were edited, deleted, inserted, reordered or cut off, and logs that were begun anew. Exits 1 then.

    Example: `qyran audit verify --copy /mnt/worm/audit-roots-49b6d8fc32b61a82dc26c2224d77ef07.jsonl`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from dataclasses import asdict

        from catalogs.policy.audit import AuditLog
        from configs.settings import Home

        report = AuditLog.open(Home.resolve(home).path).verify(copies or (), public_key=public_key)
        if as_json:
            print_json({"ok": report.ok, **asdict(report)})
        else:
            out.print(
                f"{report.rows} rows, {report.roots} signed roots that hold, {report.signed} rows under the latest;"
                f" copies of roots: {escape(', '.join(report.places)) or 'none'}"
            )
            for one in report.findings:
                err.print(f"[bold red]{one.kind}[/] at {escape(one.where)}: {escape(one.words)}")
        if not report.ok:
            raise typer.Exit(FAILED)


@audit.command()
def show(
    customer: Annotated[str | None, typer.Option("--customer", help="Only what this customer did.")] = None,
    about: Annotated[str | None, typer.Option("--object", help="Only what was done with this.", metavar="ID")] = None,
    action: Annotated[str | None, typer.Option("--action", help="Only this, such as download.")] = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option("--limit", help="The latest so many.", min=1)] = 100,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show rows, one a line.

    Example: `qyran audit show --customer "Geo Export Ltd" --action download --since 2026-11-01`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from pipelines.audit import Wanted, rows

        wanted = Wanted(customer=customer, about=about, action=action, since=since, limit=limit)
        _print_rows(rows(home, wanted), as_json=as_json)


@audit.command()
def who(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="COLLECTION/ID, or another object.", show_default=False)],
    since: SinceOption = None,
    limit: Annotated[int, typer.Option("--limit", help="The latest so many.", min=1)] = 1000,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Tell who saw an item, when, under which rule.

    Customers who were erased stand there by a pseudonym that leads to nobody.

    Example: `qyran audit who kazeosat-1-l1c/KZ1_20261101T062500_1f2e3d4c`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from pipelines.audit import Wanted, rows

        _print_rows(rows(home, Wanted(about=item, since=since, limit=limit)), as_json=as_json)


@audit.command()
def sign(home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Sign the log as it is now, and send copies of all roots to the places of `HOME/configs/audit.yaml`.

    It is done by itself after 1,024 rows and after 5 minutes.

    Example: `qyran audit sign`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from catalogs.policy.audit import AuditLog
        from configs.settings import Home

        root = AuditLog.open(Home.resolve(home).path).sign()
        if as_json:
            print_json({"root": None if root is None else dict(root.document)})
        else:
            out.print("nothing is on record yet" if root is None else f"{root.size} rows, root {root.root.hex()}")


@audit.command()
def proof(
    seq: Annotated[int, typer.Argument(metavar="ROW", help="Number of the row.", min=0, show_default=False)],
    home: HomeOption = None,
    as_json: JsonOption = False,  # noqa: ARG001 - it is JSON in any case
    debug: DebugOption = False,
) -> None:
    """Write down what proves, with the public key alone, that a row is on record.

    Example: `qyran audit proof 4711 > proof.json`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=True, debug=debug):
        from catalogs.policy.audit import AuditLog
        from configs.settings import Home

        print_json(AuditLog.open(Home.resolve(home).path).inclusion_proof(seq))


def _print_rows(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json({"rows": found})
        return
    for row in found:
        objects = ", ".join(str(one.get("name") or one["id"]) for one in row["objects"])
        rule = f" by {row['rule']}" if row["rule"] else ""
        verdict = f" {row['decision']}{rule}" if row["decision"] else ""
        out.print(
            escape(f"{row['seq']} {row['ts'][:19]}Z {row['who'] or row['actor']} {row['action']}{verdict} {objects}")
        )

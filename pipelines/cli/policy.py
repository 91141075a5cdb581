"""``qyran policy``: who may have what, and why."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import configure_logging, err, out, plain_errors, print_json

policy = typer.Typer(
    help="Ask, explain, try out and put in force data policies. Example: `qyran policy check ITEM --customer C`",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)
_CLASSES = "gov_domestic, domestic, export_ally, export_other, public"


@policy.command()
def check(
    item: Annotated[str, typer.Argument(help="COLLECTION/ID, or an ID alone.", metavar="ITEM")],
    customer: Annotated[str | None, typer.Option(help="Name of a customer; left out: anybody.")] = None,
    customer_class: Annotated[str | None, typer.Option("--class", help=f"Any customer of a class: {_CLASSES}.")] = None,
    action: Annotated[str, typer.Option(help="discover, preview, tile, download, derive, stream.")] = "download",
    as_is: Annotated[bool, typer.Option("--as-is", help="Not as an order would make them: paid, licensed.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """What the policy in force says. Asked as for an order: as if it were paid and its licence accepted.

    Example: `qyran policy check KZ1_20260424T052011_1a2b3c4d_L1C --customer akimat --json`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from catalogs.policy.terms import Action, CustomerClass
        from configs.settings import Home
        from pipelines import policies

        if action not in list(Action):
            raise typer.BadParameter(f"one of: {', '.join(Action)}", param_hint="--action")
        if customer_class is not None and customer_class not in list(CustomerClass):
            raise typer.BadParameter(f"one of: {_CLASSES}", param_hint="--class")
        place = Home.resolve(home)
        party = policies.party_named(place, customer, customer_class)
        found = policies.check(place, item, party, Action(action), as_is=as_is)
        if as_json:
            print_json(found)
            return
        out.print(f"[bold]{found['decision']}[/] by {escape(found['rule'])}, policy {escape(found['policy'])}")
        for name in ("until", "gsd_m", "masks", "licence", "obligations", "approvals"):
            if found[name]:
                out.print(f"  {name}: {escape(str(found[name]))}")
        for reason in found["reasons"]:
            out.print(f"  because {escape(reason)}")


@policy.command()
def explain(
    file: Annotated[str, typer.Argument(help="A policy's file, or its name.", metavar="FILE.yaml")],
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """What each class of customers may do, in plain words. The policy's own tests are run first.

    Example: `qyran policy explain kazakhstan-example`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from catalogs.policy.explain import explained
        from catalogs.policy.terms import Action
        from configs.settings import Home
        from pipelines.policies import policy_at

        found = policy_at(Home.resolve(home), file)
        lines = explained(found)
        if as_json:
            rows = [
                {"class": line.customer_class.value, "action": line.action.value, "effect": line.effect.value,
                 "when": line.when, "gives": line.gives, "rule": line.rule, "title": line.title}
                for line in lines
            ]  # fmt: skip
            print_json({
                "policy": found.name, "title": found.title, "notice": found.notice, "sha256": found.sha256,
                "tests": len(found.config.tests), "rows": rows,
            })  # fmt: skip
            return
        out.print(f"[bold]{escape(found.title)}[/]  {escape(found.name)}  {found.sha256[:12]}")
        out.print(f"{escape(found.notice)}\n{len(found.config.tests)} tests passed. What no line gives is denied.")
        table = Table(box=None, padding=(0, 2))
        for title in ("class", "actions", "effect", "when", "how", "rule"):
            table.add_column(title, overflow="fold")
        actions: dict[tuple[str, ...], list[str]] = {}
        for line in lines:
            row = (line.customer_class, line.effect, line.when, line.gives, line.rule)
            actions.setdefault(tuple(map(str, row)), []).append(line.action)
        for (who, *rest), which in actions.items():
            shown = "everything" if len(which) == len(Action) else ", ".join(which)
            table.add_row(*(escape(cell) for cell in (who, shown, *rest)))
        out.print(table)


@policy.command()
def simulate(
    file: Annotated[str, typer.Argument(help="A policy's file, or its name.", metavar="FILE.yaml")],
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """What would change for whom if this policy went live, over all items and customers.

    Example: `qyran policy simulate my-policy.yaml`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines import policies

        place = Home.resolve(home)
        other = policies.policy_at(place, file)
        found = policies.try_out(place, other)
        counts = [
            {"customer": who, "action": action, "before": before, "after": after, "items": count}
            for (who, action, before, after), count in sorted(found.counts.items())
        ]
        if as_json:
            changes = [
                {"customer": one.customer, "item": one.item, "action": one.action.value,
                 "before": one.before.to_json(), "after": one.after.to_json()}
                for one in found.changes
            ]  # fmt: skip
            print_json({"policy": other.name, "items": found.items, "answers": found.answers,
                        "changed": sum(found.counts.values()), "counts": counts, "changes": changes})  # fmt: skip
            return
        out.print(f"{sum(found.counts.values())} of {found.answers} answers about {found.items} items would change")
        for row in counts:
            out.print(
                f"  {escape(str(row['customer']))}: {row['action']} {row['before']} -> {row['after']}: {row['items']}"
            )


@policy.command()
def activate(
    name: Annotated[str, typer.Argument(help="Name of a policy, shipped or in HOME/configs/policies.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Put a policy in force, if it passes its own tests. Running servers follow within seconds.

    Example: `qyran policy activate kazakhstan-example`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines import policies

        if Path(name).suffix:
            raise typer.BadParameter("a name, not a file: put the file into HOME/configs/policies", param_hint="NAME")
        found = policies.activate(Home.resolve(home), name)
        if as_json:
            print_json({"policy": found.name, "sha256": found.sha256})
        else:
            err.print(f"{escape(found.name)} is in force ({found.sha256[:12]})")

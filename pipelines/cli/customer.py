"""``qyran customer``: who may come in, by what, and under which terms."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from catalogs.customers.accounts import EVERY_SCOPE, Scope
from catalogs.policy.terms import CustomerClass
from pipelines.cli.customer_show import print_account, print_accounts
from pipelines.cli.customer_terms import NameArgument, contract, customers_desk, licence, quota
from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import err, out, print_json

customer = typer.Typer(
    name="customer",
    help="Customers: accounts, tokens, contracts, licences, quotas.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
CountryOption = Annotated[str | None, typer.Option("--country", help="ISO 3166-1, two letters.", metavar="CC")]
RegionOption = Annotated[
    str | None, typer.Option("--region", help="Region that it answers for, such as KZ-75.", metavar="CODE")
]


@customer.callback()
def _group() -> None:
    pass


@customer.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As it is to be called.", show_default=False)],
    customer_class: Annotated[CustomerClass, typer.Option("--class", help="What kind of customer.")],
    country: CountryOption = None,
    region: RegionOption = None,
    clearance: Annotated[int, typer.Option("--clearance", help="0 to 9, as the policy counts.", min=0, max=9)] = 0,
    legal_name: Annotated[str | None, typer.Option("--legal-name", help="Name in law, for sanctions lists.")] = None,
    tax_id: Annotated[str | None, typer.Option("--tax-id", help="Tax number (BIN).")] = None,
    email: Annotated[str | None, typer.Option("--email", help="Where notices go.")] = None,
    officer: Annotated[bool, typer.Option("--officer", help="May approve what policy holds.")] = False,
    days: Annotated[float, typer.Option("--days", help="How long its first token holds.")] = 90,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Add a customer and make its first token, which is shown now and never again.

    Example: `qyran customer add "Akimat of Almaty" --class gov_domestic --country KZ --region KZ-75`
    """
    from catalogs.customers.accounts import Details

    with customers_desk(home, as_json=as_json, debug=debug) as opened:
        details = Details(
            customer_class=customer_class, country=country, region=region, clearance=clearance, legal_name=legal_name,
            tax_id=tax_id, email=email, officer=officer,
        )  # fmt: skip
        found = opened.customers.add(name, details)
        token = opened.customers.new_token(found.id, "first", days=days)
        opened.record("customer.added", found.id, {"class": customer_class.value})
        opened.show({"customer": found, "token": token}, lambda: _print_token(found.name, token))


@customer.command(name="list")
def list_(home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """List the customers.

    Example: `qyran customer list --json`
    """
    with customers_desk(home, as_json=as_json, debug=debug) as opened:
        accounts = opened.customers.all()
        opened.show({"customers": list(accounts)}, lambda: print_accounts(accounts))


@customer.command()
def show(name: NameArgument, home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Show a customer: what is stated, tokens, contracts, licences, quota, what is left of it.

    Example: `qyran customer show "Akimat of Almaty"`
    """
    with customers_desk(home, as_json=as_json, debug=debug) as opened:
        known = opened.customers.export(name)
        known["left"] = opened.customers.quota_left(name)
        opened.show(known, lambda: print_account(known))


@customer.command()
def token(
    name: NameArgument,
    label: Annotated[str, typer.Option("--label", help="What it is for: a program, a person's place.")] = "token",
    days: Annotated[float, typer.Option("--days", help="How long it holds, up to 400.")] = 90,
    scope: Annotated[list[Scope] | None, typer.Option("--scope", help="What it is for; all, if none is named.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make a token. It is shown now and never again: only a digest is kept.

    Example: `qyran customer token "Akimat of Almaty" --label "nightly download" --scope read --scope download`
    """
    with customers_desk(home, as_json=as_json, debug=debug) as opened:
        found = opened.customers.get(name)
        made = opened.customers.new_token(found.id, label, days=days, scopes=scope or EVERY_SCOPE)
        opened.record("customer.token", found.id, {"token": made.id})
        opened.show({"customer": found.id, "token": made}, lambda: _print_token(found.name, made))


@customer.command()
def revoke(
    what: Annotated[str, typer.Argument(metavar="TOKEN_ID|NAME", help="A token's id, or a customer: all of its tokens,"
                                        " sessions and open links.", show_default=False)],
    suspend: Annotated[bool, typer.Option("--suspend", help="Shut the customer out, until --restore.")] = False,
    restore: Annotated[bool, typer.Option("--restore", help="Let a suspended customer in again.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:  # fmt: skip
    """Revoke a token, or everything of a customer. It holds from the next request on, in every process.

    Example: `qyran customer revoke k3vq7hbn2a`
    """
    if suspend and restore:
        raise typer.BadParameter("give either --suspend or --restore")
    with customers_desk(home, as_json=as_json, debug=debug) as opened:
        done = opened.revoke(what, suspend=suspend, restore=restore)
        opened.show(done, lambda: out.print(escape(str(done["words"]))))


@customer.command()
def password(
    name: NameArgument,
    remove: Annotated[bool, typer.Option("--remove", help="Take it away.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Set the password for the portal, asked for or read from standard input; sessions that are open end.

    Example: `qyran customer password "Geo Export Ltd"`
    """
    import sys

    with customers_desk(home, as_json=as_json, debug=debug) as opened:
        found = opened.customers.get(name)
        given = None
        if not remove:
            asked = sys.stdin.isatty()
            given = typer.prompt("password", hide_input=True, confirmation_prompt=True, err=True) if asked else (
                sys.stdin.readline().rstrip("\n")
            )  # fmt: skip
        opened.customers.set_password(found.id, given)
        opened.record("customer.password", found.id, {})
        opened.show({"customer": found.id, "password": given is not None}, lambda: out.print("done"))


@customer.command()
def link(
    name: NameArgument,
    subject: Annotated[str, typer.Option("--subject", help="How the provider calls the account (`sub`).")],
    issuer: Annotated[str | None, typer.Option("--issuer", help="The provider; that of sign_in.yaml if none.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Let an account of the OpenID Connect provider come in as a customer.

    Example: `qyran customer link "Geo Export Ltd" --subject 0b6d7c1e-...`
    """
    with customers_desk(home, as_json=as_json, debug=debug) as opened:
        found = opened.customers.get(name)
        provider = issuer or opened.issuer()
        opened.customers.link_identity(found.id, provider, subject)
        opened.record("customer.linked", found.id, {})
        done = {"customer": found.id, "issuer": provider, "subject": subject}
        opened.show(
            done, lambda: out.print(f"{escape(subject)} of {escape(provider)} comes in as {escape(found.name)}")
        )


@customer.command(name="link-key")
def link_key(
    void: Annotated[bool, typer.Option("--void", help="Make links that are open void: a key may have leaked.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make a new key for signed links; it is done by itself every month. Open links stay good for their minutes.

    Example: `qyran customer link-key --void`
    """
    with customers_desk(home, as_json=as_json, debug=debug) as opened:
        done = opened.renew_link_key(void=void)
        opened.show(done, lambda: out.print(f"key {done['key']} signs from now on"))


@customer.command()
def export(
    name: NameArgument, home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """Write down everything that is kept of a customer, for that customer: account, contracts, use, audit rows.

    Example: `qyran customer export "Geo Export Ltd" --json > geo-export.json`
    """
    with customers_desk(home, as_json=as_json, debug=debug) as opened:
        known = opened.export(name)
        opened.show(known, lambda: print_json(known))


@customer.command()
def erase(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Forget who a customer was: account, tokens, identities, and who stands behind its pseudonym in the audit log.

    What was used stays, under an id that leads to nobody; the audit log stays whole and verifies. It cannot be undone.

    Example: `qyran customer erase "Geo Export Ltd" --yes`
    """
    if not yes and not typer.confirm(f"Forget who {name} was, for good?", err=True):
        raise typer.Exit(1)
    with customers_desk(home, as_json=as_json, debug=debug) as opened:
        gone = opened.erase(name)
        opened.show({"erased": gone.id}, lambda: out.print(f"{gone.id} leads to nobody any more"))


def _print_token(name: str, made: Any) -> None:
    out.print(f"{escape(name)}: token {made.id}, until {made.expires:%Y-%m-%d}")
    out.print(made.token, soft_wrap=True)
    err.print("[dim]It is shown this once. Whoever has it comes in as this customer.[/]")


for command in (contract, licence, quota):
    customer.command()(command)

"""`tambo account`, and `tambo user` as it was named before: who the people of this box are, and their tokens.

Works beside a running box, which sees what was changed at its next look.
"""

import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gateway.errors import N_, BadRequest, Conflict
from gateway.terminal import DEFAULT_CONFIG, Config, say, settings_of

if TYPE_CHECKING:
    from gateway.portal.accounts import Accounts

account = typer.Typer(
    no_args_is_help=True, help=say(N_("Accounts of merchants, cashiers, nurses, doctors and technicians."))
)

PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help=say(N_("Read the password from standard input.")))
]
RoleName = Literal["merchant", "cashier", "nurse", "doctor", "technician"]


@account.command(
    "add",
    help=say(
        N_("Make an account; without a terminal and without --password-stdin, a password is made and printed once.")
    ),
)
def add(
    name: str,
    role: Annotated[RoleName, typer.Option(help=say(N_("What they may do.")))],
    shop: Annotated[str, typer.Option(help=say(N_("The merchant a cashier works for.")))] = "",
    sees_totals: Annotated[
        bool, typer.Option("--sees-totals", help=say(N_("Let a cashier see the day's totals.")))
    ] = False,
    password_stdin: PasswordStdin = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    accounts = _accounts(config)
    password, made_up = _new_password(from_stdin=password_stdin)
    accounts.add(name, role, password, shop=shop, sees_totals=sees_totals)
    typer.echo(say(N_("Account made: %(name)s (%(role)s)."), name=name, role=role))
    _tell_made_up(password, made_up=made_up)


@account.command("token", help=say(N_("Print a new bearer token for an account, once.")))
def token(
    name: str,
    label: Annotated[str, typer.Option(help=say(N_("What it is for; two of an account have not the same.")))] = "",
    read_only: Annotated[
        bool, typer.Option("--read-only", help=say(N_("It shows orders, and cannot hand in or change any.")))
    ] = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    from gateway.portal.people import Scope

    typer.echo(_accounts(config).tokens.make(name, label, Scope.READ if read_only else Scope.ORDERS))


@account.command(
    "tokens", help=say(N_("List an account's tokens: how each begins, scope, day made, day last used, label."))
)
def tokens(name: str, config: Config = DEFAULT_CONFIG) -> None:
    for each in _accounts(config).tokens.list(name):
        made_on = datetime.fromtimestamp(each.made_s, UTC).astimezone().date().isoformat()
        typer.echo(f"{each.prefix}\t{each.scope}\t{made_on}\t{each.used_on or '-'}\t{each.label}")


@account.command("revoke", help=say(N_("Make a token void, named by how it begins, or all of an account.")))
def revoke(
    name: str,
    begins: Annotated[str, typer.Argument(help=say(N_("How the token begins, as `tokens` lists it.")))] = "",
    every: Annotated[bool, typer.Option("--all", help=say(N_("Every token of the account.")))] = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    if every is bool(begins):
        raise BadRequest(N_("Which token is not clear."), N_("Name how it begins, or say --all."))
    kept = _accounts(config).tokens
    count = kept.revoke_all(name) if every else 1
    if begins:
        kept.revoke(name, begins)
    typer.echo(say(N_("Tokens made void: %(count)d."), count=count))


@account.command(
    "link", help=say(N_("Print a link that signs an account in once, for people who struggle with passwords."))
)
def link(
    name: str,
    valid_s: Annotated[int, typer.Option(min=60, max=604_800, help=say(N_("Seconds until the link expires.")))] = 900,
    config: Config = DEFAULT_CONFIG,
) -> None:
    from gateway.plan import portal_url

    typer.echo(f"{portal_url(settings_of(config))}/entrar/{_accounts(config).new_link(name, valid_s)}")


@account.command("list", help=say(N_("List the accounts.")))
def list_all(config: Config = DEFAULT_CONFIG) -> None:
    for each in _accounts(config).list():
        shop = [each.shop] if each.shop not in {"", each.name} else []
        blocked = [say(N_("blocked"))] if each.is_blocked else []
        typer.echo("\t".join([each.name, each.role, *shop, *blocked]))


@account.command("passwd", help=say(N_("Give an account a new password; its sessions end.")))
def passwd(
    name: str,
    password_stdin: PasswordStdin = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    accounts = _accounts(config)
    password, made_up = _new_password(from_stdin=password_stdin)
    accounts.set_password(name, password)
    typer.echo(say(N_("Password changed: %(name)s."), name=name))
    _tell_made_up(password, made_up=made_up)


@account.command("remove", help=say(N_("Remove an account, its sessions and its tokens; its orders stay.")))
def remove(
    name: str,
    yes: Annotated[bool, typer.Option("--yes", help=say(N_("Do not ask before its cashiers go with it.")))] = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    accounts = _accounts(config)
    cashiers = [each.name for each in accounts.team.list(name)]
    if cashiers:
        typer.echo(say(N_("Its cashiers lose their access with it: %(names)s."), names=", ".join(cashiers)), err=True)
        if not yes and not (sys.stdin.isatty() and typer.confirm(say(N_("Remove them all?")))):
            raise Conflict(N_("Nothing was removed."), N_("Say --yes to remove the cashiers too."))
    accounts.remove(name)
    typer.echo(say(N_("Account removed: %(name)s."), name=name))


@account.command(
    "block",
    help=say(N_("Refuse sign-in and tokens of an account and, with a merchant, of the cashiers; its orders stay.")),
)
def block(name: str, config: Config = DEFAULT_CONFIG) -> None:
    _accounts(config).block(name)
    typer.echo(say(N_("Account blocked: %(name)s."), name=name))


@account.command("unblock", help=say(N_("Let a blocked account in again.")))
def unblock(name: str, config: Config = DEFAULT_CONFIG) -> None:
    _accounts(config).block(name, on=False)
    typer.echo(say(N_("Account unblocked: %(name)s."), name=name))


def _accounts(config: Path) -> "Accounts":
    from gateway.clock import SystemClock
    from gateway.data_folder import DataFolder
    from gateway.portal.accounts import Accounts

    return Accounts(DataFolder(settings_of(config).box.data).make().path, SystemClock())


def _new_password(*, from_stdin: bool) -> tuple[str, bool]:
    """Return a password and whether it was made up here."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n"), False
    if sys.stdin.isatty():
        return typer.prompt(say(N_("Password")), hide_input=True, confirmation_prompt=True), False
    return secrets.token_urlsafe(12), True


def _tell_made_up(password: str, *, made_up: bool) -> None:
    if made_up:
        typer.echo(say(N_("Its password, shown only this once: %(password)s"), password=password))

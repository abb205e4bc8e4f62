"""`tambo orders`: the queue of merchants' orders as its technician needs it, and ways around a link that stays away.

What the queue is doing is asked of the box that runs. Keys, receipts and copies of the journal need its data directory
alone. On a terminal stands nothing of an order but its receipt number, its id and its state.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.data_folder import ORDERS_KEY, RECEIPTS_KEY, DataFolder
from gateway.errors import N_, BadRequest, CannotStart
from gateway.orders_files import made_new, opened, secret_in, settle, write_secret
from gateway.plan import reachable
from gateway.running_box import RunningBox
from gateway.settings import Settings
from gateway.terminal import DEFAULT_CONFIG, EXIT_FAULT, Config, language, say, settings_of, tell
from gateway.units import in_bytes

if TYPE_CHECKING:
    from gateway.durable.vault import Vault
    from gateway.market.journal.backup import Copy

orders = typer.Typer(no_args_is_help=True, help=say(N_("The queue of merchants' orders.")))

LISTED_MAX = 1_000  # on one terminal
BUNDLE_S_MAX = 120.0  # until the next piece of a bundle comes
AsJson = Annotated[bool, typer.Option("--json", help=say(N_("Print JSON, for programs.")))]
_COLUMNS = (N_("receipt"), N_("order"), N_("state"), N_("to decide"), N_("age"))


@orders.command(help=say(N_("Say how many orders wait and need a person, and when the marketplace last answered.")))
def stat(as_json: AsJson = False, config: Config = DEFAULT_CONFIG) -> None:
    told = _box(settings_of(config)).ask("/orders/stat")
    if as_json:
        typer.echo(json.dumps(told))
        return
    typer.echo(say(N_("Waiting: %(waiting)d. Need a person: %(attention)d."), **told))
    typer.echo(say(N_("Since the start: %(recorded)d recorded, %(accepted)d accepted, %(rejected)d refused."), **told))
    typer.echo(say(N_("The marketplace last answered: %(when)s."), when=_when(told["heard_wall_s"])))
    used, free = in_bytes(told["used_bytes"]), in_bytes(told["free_bytes"])
    typer.echo(say(N_("The journal takes %(used)s; %(free)s of its disk are free."), used=used, free=free))
    if not told["is_taking"]:
        typer.echo(say(N_("No new orders are taken: the disk is full or fails. See the log.")))
    if told["damaged"] or told["put_aside"]:
        typer.echo(say(N_("Damaged rows: %(damaged)d. Journals put aside: %(put_aside)d."), **told))


@orders.command("list", help=say(N_("List the orders that are open, newest first.")))
def list_open(
    attention: Annotated[bool, typer.Option("--attention", help=say(N_("Only those that need a person.")))] = False,
    as_json: AsJson = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    box, path = _box(settings_of(config)), "/orders/attention" if attention else "/orders/open"
    told = box.ask(path)
    found = told["orders"]
    while told["before"] and len(found) < LISTED_MAX:
        told = box.ask(f"{path}?before={told['before']}")
        found += told["orders"]
    if as_json:
        names = ("receipt", "id", "state", "code", "revision", "age_s")
        typer.echo(json.dumps([{name: each[name] for name in names} for each in found]))
        return
    if not found:
        typer.echo(say(N_("There is none.")))
        return
    _print_table([[say(each) for each in _COLUMNS], *(_row(each) for each in found)])
    if told["before"]:
        typer.echo(say(N_("There are more; these are the newest.")))


@orders.command(help=say(N_("Let an order go once more, or all that were refused too often.")))
def requeue(
    order: Annotated[str | None, typer.Argument(metavar="ID", help=say(N_("The order's id, as listed.")))] = None,
    every: Annotated[bool, typer.Option("--all", help=say(N_("All that could not be delivered.")))] = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    if every is (order is not None):
        raise BadRequest(N_("Which order is not clear."), N_("Name its id, or say --all."))
    told = _box(settings_of(config)).ask("/orders/requeue", {"all": True} if every else {"id": order})
    typer.echo(say(N_("Orders that go once more: %(count)d."), count=told["requeued"]))


@orders.command(help=say(N_("Write all that waits into a signed file, for a USB stick; it goes on waiting here.")))
def export(
    file: Annotated[Path, typer.Argument(help=say(N_("A file that is not there yet.")))],
    config: Config = DEFAULT_CONFIG,
) -> None:
    from gateway.market.bundle import FILE_BYTES_MAX, named_key, read_bundle
    from gateway.market.receipts import trusted_keys

    box = _box(settings_of(config))
    with made_new(file) as made:
        box.fetch("/orders/bundle", made, bytes_max=FILE_BYTES_MAX, answer_s_max=BUNDLE_S_MAX)
        settle(made)
        head = read_bundle(made, trusted_keys([named_key(made)])).head
    typer.echo(say(N_("Orders in %(path)s: %(count)d."), path=file, count=head.orders))
    if head.is_sealed:
        typer.echo(say(N_("It is sealed: only the recipient of [market] bundle_recipient can read it.")))
    else:
        typer.echo(say(N_("It is not sealed: whoever has the file can read the orders. Keep it safe.")))


@orders.command(help=say(N_("Print this box's line for [market] trusted_boxes of another one.")))
def key(config: Config = DEFAULT_CONFIG) -> None:
    typer.echo(_own_key(settings_of(config)))


@orders.command(help=say(N_("Say what a signed receipt says, or that it is not of a box that is trusted here.")))
def verify(
    text: Annotated[str, typer.Argument(help=say(N_("The text of the receipt's QR code; - reads it from input.")))],
    config: Config = DEFAULT_CONFIG,
) -> None:
    from gateway.market.receipts import TEXT_CHARS_MAX, check, trusted_keys

    settings = settings_of(config)
    if text == "-":
        text = sys.stdin.read(TEXT_CHARS_MAX + 1)
    trusted = settings.market.trusted_boxes if settings.market else ()
    said = check(text, trusted_keys([_own_key(settings), *trusted]))
    if said is None:
        typer.echo(say(N_("This is not a receipt of a box that is trusted here.")), err=True)
        raise typer.Exit(EXIT_FAULT)
    from gateway.portal.receipt_check import in_figures

    shown = in_figures(said, language())
    typer.echo(say(N_("Genuine: receipt %(receipt)s, signed by the box %(box)s."), receipt=said.receipt, box=said.box))
    typer.echo(say(N_("Total: %(total)s. Recorded: %(when)s."), total=shown.total, when=shown.when or said.time))
    typer.echo(say(N_("Order %(id)s, check code %(code)s."), id=said.id, code=said.hash[:16]))


@orders.command(help=say(N_("Copy the journal of orders while the box runs, and check the copy.")))
def backup(
    file: Annotated[Path, typer.Argument(help=say(N_("A file that is not there yet.")))],
    config: Config = DEFAULT_CONFIG,
) -> None:
    from gateway.market.journal.backup import back_up

    journal, vault, folder = _journal(settings_of(config))
    if not journal.exists():
        raise CannotStart(
            N_("There is no journal of orders yet: %(path)s."), N_("It begins when the box first runs."), path=journal
        )
    copy = back_up(journal, file, vault)
    size = in_bytes(copy.size_bytes)
    typer.echo(say(N_("Orders in the copy: %(count)d (%(size)s). It is whole."), count=copy.orders, size=size))
    _tell_damaged(copy)
    typer.echo(say(N_("Keep %(path)s too, in another place: without it nobody can read it."), path=folder / "key"))


@orders.command(help=say(N_("Put a copy in the place of the journal, while the box does not run; nothing is deleted.")))
def restore(
    file: Annotated[Path, typer.Argument(help=say(N_("A file that tambo orders backup wrote.")))],
    damaged: Annotated[
        bool, typer.Option("--damaged", help=say(N_("Use it although some of its rows are damaged.")))
    ] = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    from gateway.market.journal.backup import check_copy
    from gateway.market.journal.backup import restore as put_back

    journal, vault, folder = _journal(settings_of(config))
    with DataFolder(folder):
        copy = check_copy(file, vault)
        _tell_damaged(copy)
        if copy.damaged and not damaged:
            raise BadRequest(N_("Nothing was changed."), N_("Use another copy, or say --damaged."))
        aside = put_back(journal, file, vault)
    typer.echo(say(N_("Orders in the journal now: %(count)d."), count=copy.orders))
    if aside is not None:
        typer.echo(say(N_("The former journal was put aside, whole: %(path)s."), path=aside))


@orders.command("import", help=say(N_("At the far side: check a bundle and deliver its orders to a marketplace.")))
def bring(
    file: Annotated[Path, typer.Argument(help=say(N_("A file that tambo orders export wrote.")))],
    to: Annotated[str, typer.Option("--to", help=say(N_("The marketplace's address for batches of orders.")))],
    keys: Annotated[
        list[str], typer.Option("--key", help=say(N_("A box that is trusted, as its tambo orders key prints it.")))
    ],
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help=say(N_("A file that holds the marketplace's token.")))
    ] = None,
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", help=say(N_("What a sealed bundle opens with.")))
    ] = None,
    signing_secret_file: Annotated[
        Path | None,
        typer.Option("--signing-secret-file", help=say(N_("The secret (whsec_…) that deliveries are signed with."))),
    ] = None,
) -> None:
    from gateway.clock import SystemClock
    from gateway.market.bundle import read_bundle
    from gateway.market.bundle_seal import read_secret
    from gateway.market.carried import sums
    from gateway.market.receipts import trusted_keys
    from gateway.orders_import import FarMarketplace, Import, signing_key

    secret = read_secret(secret_in(secret_file)) if secret_file else None
    token = secret_in(token_file) if token_file else None
    signing = signing_key(secret_in(signing_secret_file)) if signing_secret_file else None
    marketplace = FarMarketplace(to, token, SystemClock().wall_s, signing)
    told, done = file.with_name(f"{file.name}.receipts.json"), Import()
    with opened(file) as reading:
        bundle = read_bundle(reading, trusted_keys(keys))
        count = bundle.head.orders
        typer.echo(say(N_("Orders of box %(box)s in the bundle: %(count)d."), box=bundle.head.box, count=count))
        try:
            done.run(bundle, secret, marketplace)
        finally:
            for outcome, number in sums(done.came).items():
                typer.echo(f"{outcome}\t{number}")
            if done.came:  # where nothing came of it, what an earlier try wrote stays
                done.write(told, bundle)
                typer.echo(say(N_("What came of each order is in %(path)s."), path=told))
    if done.stopped is not None:
        tell(done.stopped)
    if not done.is_whole:
        raise typer.Exit(EXIT_FAULT)


@orders.command(help=say(N_("Make a recipient's key pair: the secret into a file, the other for bundle_recipient.")))
def keygen(file: Annotated[Path, typer.Argument(help=say(N_("A file that is not there yet.")))]) -> None:
    from gateway.durable.recipient import new_pair

    secret, public = new_pair()
    write_secret(file, secret)
    typer.echo(public)


def _box(settings: Settings) -> RunningBox:
    return RunningBox(reachable(settings.admin.listen), language())


def _own_key(settings: Settings) -> str:
    from gateway.market.receipts import ReceiptKey

    seed = DataFolder(settings.box.data).make().key_for(RECEIPTS_KEY)
    return ReceiptKey(settings.box.receipt_code, seed).public


def _journal(settings: Settings) -> "tuple[Path, Vault, Path]":
    from gateway.durable.vault import Vault
    from gateway.market.journal.journal import FILE

    folder = DataFolder(settings.box.data).make()
    return folder.path / "market" / FILE, Vault(folder.key_for(ORDERS_KEY)), folder.path


def _tell_damaged(copy: "Copy") -> None:
    if copy.damaged:
        typer.echo(say(N_("Damaged rows in the copy: %(count)d; the box does not use them."), count=copy.damaged))


def _when(wall_s: float | None) -> str:
    from gateway.portal.formats import formats

    if wall_s is None:
        return say(N_("not since the start"))
    return formats(language()).when(wall_s) or say(N_("at a time that the box did not know"))


def _row(order: dict[str, Any]) -> list[str]:
    from gateway.portal.formats import formats

    age = "" if order["age_s"] is None else formats(language()).lasting(order["age_s"])
    return [order["receipt"], order["id"], order["state"], order["code"], age]


def _print_table(rows: list[list[str]]) -> None:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(map(str.ljust, row, widths)).rstrip())

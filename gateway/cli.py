"""`tambo`: each command does one thing, says what it did, and on failure says in one sentence why.

Heavy libraries are imported inside the commands that need them, so that `tambo --help` and `tambo check` are quick.
Help is said in the terminal's language, which is therefore asked for when this module is imported.
"""

import asyncio
import gc
import json
import os
import signal
import uuid
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gateway.cli_account import account
from gateway.cli_cache import cache
from gateway.cli_clinic import clinic
from gateway.cli_orders import orders
from gateway.cli_recording import recording
from gateway.cli_reflect import CONFIG_HELP, KEY_FILE_HELP, LISTEN_HELP, journey, told
from gateway.cli_shape import shaper
from gateway.cli_usage import usage
from gateway.errors import N_, CannotStart, GatewayError
from gateway.event_loop import new_event_loop
from gateway.logs import configure
from gateway.open_files import may_open_all
from gateway.private_memory import keep_private
from gateway.settings import Settings
from gateway.terminal import DEFAULT_CONFIG, EXIT_FAULT, Config
from gateway.terminal import say as _say
from gateway.terminal import settings_of as _settings
from gateway.terminal import tell as _tell

Line = tuple[str, dict[str, object]]  # a message id and the values of its places

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=_say(N_("Tambo, a village's gateway.")),
)
app.add_typer(account, name="account")
app.add_typer(account, name="user", help=_say(N_("The same as account.")))
clinic.command(help=_say(N_("Make films of what was recorded of a call; nothing is encoded anew.")))(recording)
app.add_typer(clinic, name="clinic")
app.add_typer(cache, name="cache")
app.add_typer(usage, name="usage")
app.add_typer(orders, name="orders")
app.command("shaper", help=_say(N_("Shape what phones send past the proxy; needs CAP_NET_ADMIN.")))(shaper)


def main() -> None:
    """Run a command; a planned failure is a sentence on standard error and exit code 1."""
    try:
        app(standalone_mode=True)
    except GatewayError as exc:
        _fail(exc)


@app.command(help=_say(N_("Run the village box.")))
def run(
    config: Config = DEFAULT_CONFIG,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=64, help=_say(N_("How many processes answer from the cache; instead of what the settings say."))
        ),
    ] = None,
) -> None:
    gc.disable()  # while starting nearly all that is made stays: looking through it took a fifth of the time
    from gateway.app import Box, real_world

    settings = _settings(config)
    if workers is not None:
        settings = settings.model_copy(update={"box": settings.box.model_copy(update={"workers": workers})})
    if settings.box.workers > 1 and len(os.sched_getaffinity(0)) < 2:
        typer.echo(_say(N_("This machine has one core: more than one worker gains nothing.")), err=True)
    box = Box(settings, real_world(settings))

    def ready() -> None:
        gc.freeze()  # what stands now is never looked through again
        gc.enable()
        _print(box.announcement())

    _until_stopped(lambda stop: box.run(stop, on_ready=ready))


@app.command(
    help=_say(
        N_("Run a whole world on this machine: box, origin, marketplace, doctor's side, and an emulated 4G link.")
    )
)
def demo(
    data: Annotated[
        Path | None, typer.Option(help=_say(N_("Keep the demo's state here; without it, a temporary directory.")))
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help=_say(N_("Write where all is, as JSON, once it is up.")))
    ] = None,
) -> None:
    from gateway.demo.world import DemoWorld

    def greet(world: DemoWorld) -> None:
        if ready_file is not None:
            _write_whole(ready_file, json.dumps(world.where(), indent=2))
        _print(world.greeting())

    with DemoWorld.in_folder(data) as world:
        _until_stopped(lambda stop: world.run(stop, on_ready=lambda: greet(world)))


@app.command(help=_say(N_("Answer the boxes' echo, on a machine beyond the link.")))
def reflect(
    listen: Annotated[str | None, typer.Option(help=_say(LISTEN_HELP))] = None,
    key_file: Annotated[Path | None, typer.Option("--key-file", help=_say(KEY_FILE_HELP))] = None,
    config: Annotated[Path | None, typer.Option(help=_say(CONFIG_HELP))] = None,
) -> None:
    from gateway.settings_link import Reflector

    settings = Reflector() if config is None else _settings(config).reflector
    _until_stopped(journey(told(settings, listen, key_file)))


@app.command(help=_say(N_("Check the settings file and say what the box would do; with --alive, ask the running box.")))
def check(
    config: Config = DEFAULT_CONFIG,
    alive: Annotated[
        bool, typer.Option("--alive", help=_say(N_("Only ask the running box whether it is alive.")))
    ] = False,
) -> None:
    settings = _settings(config)
    if alive:
        _ask_alive(settings)
        return
    from gateway.app import check_surroundings
    from gateway.plan import in_plain_words

    missing = check_surroundings(settings)
    for error in missing:
        _tell(error)
    if missing:
        raise typer.Exit(EXIT_FAULT)
    _print(in_plain_words(settings))


@clinic.command(
    "open", help=_say(N_("Open a consultation: print the nurse's and the doctor's link, signed, expiring."))
)
def clinic_open(
    as_json: Annotated[bool, typer.Option("--json", help=_say(N_("Print JSON instead of two lines.")))] = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    from gateway.clinic.invitation import invite
    from gateway.clock import SystemClock
    from gateway.data_folder import INVITATION_KEY, DataFolder
    from gateway.plan import door_url, portal_url

    settings = _settings(config)
    tokens = invite(
        DataFolder(settings.box.data).make().key_for(INVITATION_KEY),
        wall_s=SystemClock().wall_s(),
        link_s=settings.clinic.link_s,
        consultation=str(uuid.uuid4()),
    )
    links = {
        "nurse": f"{portal_url(settings)}/consulta/{tokens.nurse}",
        "doctor": f"{door_url(settings)}/consulta/{tokens.doctor}",
    }
    if as_json:
        typer.echo(json.dumps(links))
        return
    typer.echo(_say(N_("For the nurse:   %(link)s"), link=links["nurse"]))
    typer.echo(_say(N_("For the doctor:  %(link)s"), link=links["doctor"]))


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that whoever waits for it finds it whole."""
    fresh = path.with_name(f"{path.name}.part")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as exc:
        raise CannotStart(
            N_("The file cannot be written: %(path)s (%(reason)s)."),
            N_("Name a file in a directory that exists."),
            path=path,
            reason=exc.strerror,
        ) from exc


def _print(lines: Iterable[Line]) -> None:
    for message, values in lines:
        typer.echo(_say(message, **values))


def _until_stopped(journey: Callable[[asyncio.Event], Coroutine[None, None, None]]) -> None:
    """Run `journey`, with an event that TERM and Ctrl-C set; a second one of them is not waited for."""

    async def guarded() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def stopping(number: int) -> None:
            if stop.is_set():
                os._exit(128 + number)
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping, number)
        await journey(stop)

    configure()
    keep_private()
    may_open_all()
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(guarded())
    except BaseExceptionGroup as group:
        planned = _planned(group)
        if planned is None:
            raise
        raise planned from None


def _planned(group: BaseExceptionGroup[BaseException]) -> GatewayError | None:
    """Return the failure in a group that carries a sentence, where every failure in it does."""
    mine, others = group.split(GatewayError)
    if mine is None or others is not None:
        return None
    first: BaseException = mine
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if isinstance(first, GatewayError) else None


def _fail(error: GatewayError) -> NoReturn:
    _tell(error)
    raise SystemExit(EXIT_FAULT)


def _ask_alive(settings: Settings) -> None:
    import http.client

    from gateway.plan import reachable

    address = reachable(settings.admin.listen)
    connection = http.client.HTTPConnection(address.host, address.port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except OSError:
        status = 0
    finally:
        connection.close()
    if status != 200:
        raise CannotStart(
            N_("The box does not answer on %(address)s."), N_("See its log; start it with tambo run."), address=address
        )
    typer.echo(_say(N_("The box is alive.")))

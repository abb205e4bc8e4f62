"""A warm-up run of the box is followed on a terminal: a bar, pages, bytes and the time left; elsewhere line by line.

Ctrl-C is meant for the run, so the box is asked to stop it; a terminal that is closed leaves it going.
"""

import time
from contextlib import nullcontext
from typing import Any, Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from gateway.errors import N_
from gateway.running_box import Refused, RunningBox
from gateway.terminal import say
from gateway.units import in_bytes

POLL_S = 0.5
LINES_EVERY = 10  # percent; where there is no terminal
EXIT_INTERRUPTED = 130  # 128 and the number of INT, as shells have it
Run = dict[str, Any]

_STATES = {
    "waiting": N_("waits for its turn"),
    "running": N_("fetching"),
    "held": N_("waits for the link"),
}
_ENDED = {
    "done": N_("All of it is ready: %(done)d pages, %(size)s over the link."),
    "stopped": N_("Stopped: %(done)d of %(known)d pages, %(size)s over the link. What came is kept."),
    "spent": N_("The day's data is used up: %(done)d of %(known)d pages, %(size)s over the link. It goes on tomorrow."),
    "closed": N_("Its hours are over: %(done)d of %(known)d pages, %(size)s over the link. It goes on next time."),
    "failed": N_("It broke off: %(done)d of %(known)d pages, %(size)s over the link. See the box's log."),
}


class Shown(Protocol):
    """Where a run is shown."""

    def show(self, run: Run) -> None: ...


def follow(box: RunningBox, site: str, *, now: bool, quiet: bool) -> Run:
    """Have a run begin, show it until it has ended, and return it as it was then."""
    console = Console()
    try:
        run = _known(box.ask("/cache/warm", {"site": site, "now": now}))
        with _bar(console) if console.is_terminal and not quiet else nullcontext() as bar:
            shown: Shown = _Bar(bar, site) if bar is not None else _Nothing() if quiet else _Lines()
            shown.show(run)
            while run["state"] in _STATES:
                time.sleep(POLL_S)
                run = _known(box.ask(f"/cache/warm/{site}"))
                shown.show(run)
    except KeyboardInterrupt:
        run = _known(box.ask("/cache/warm/stop", {"site": site}))
        if not quiet:
            _tell_end(run)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if not quiet:
        _tell_end(run)
    return run


def _known(run: Run) -> Run:
    """Return a run in a state that has its words.

    Raises: Refused.
    """
    if run["state"] not in {*_STATES, *_ENDED}:
        raise Refused(N_("The box knows of no such run."), N_("It may have been started anew. Begin once more."))
    return run


def in_time(left_s: float) -> str:
    """Write how long something takes, for people.

    >>> in_time(5), in_time(100), in_time(4_000)
    ('5 s', '2 min', '1 h 7 min')
    """
    if left_s < 60:
        return f"{left_s:.0f} s"
    minutes = round(left_s / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


class _Bar:
    def __init__(self, bar: Progress, site: str) -> None:
        self._bar = bar
        self._task = bar.add_task(site, total=None, state="", pages="", size="", left="")

    def show(self, run: Run) -> None:
        self._bar.update(
            self._task,
            completed=run["pages_done"],
            total=run["pages_known"] or None,
            state=say(_STATES.get(run["state"], "")),
            pages=say(N_("%(done)d/%(known)d pages"), done=run["pages_done"], known=run["pages_known"]),
            size=_size(run),
            left=_left(run),
        )


class _Lines:
    """A line for each tenth, and for each change of what it waits for."""

    def __init__(self) -> None:
        self._told: tuple[int, str] | None = None

    def show(self, run: Run) -> None:
        tenth = 100 * run["pages_done"] // max(run["pages_known"], 1) // LINES_EVERY
        if run["state"] not in _STATES or (tenth, run["state"]) == self._told:
            return
        self._told = (tenth, run["state"])
        pages = say(N_("%(done)d/%(known)d pages"), done=run["pages_done"], known=run["pages_known"])
        shown = (run["site"], say(_STATES[run["state"]]), pages, _size(run), _left(run))
        typer.echo("  ".join(each for each in shown if each))


class _Nothing:
    def show(self, run: Run) -> None:
        del run


def _bar(console: Console) -> Progress:
    columns = ("{task.description}", "{task.fields[pages]}", "{task.fields[size]}", "{task.fields[left]}")
    texts = [TextColumn(each, markup=False) for each in columns]
    return Progress(
        texts[0],
        BarColumn(bar_width=None),
        *texts[1:],
        TextColumn("{task.fields[state]}", markup=False),
        console=console,
    )


def _size(run: Run) -> str:
    return f"{in_bytes(run['moved_bytes'])}/{in_bytes(run['allowed_bytes'])}"


def _left(run: Run) -> str:
    return "" if run["left_s"] is None else say(N_("%(time)s left"), time=in_time(run["left_s"]))


def _tell_end(run: Run) -> None:
    size = in_bytes(run["moved_bytes"])
    typer.echo(say(_ENDED[run["state"]], done=run["pages_done"], known=run["pages_known"], size=size))
    if run["failed"]:
        typer.echo(say(N_("Could not be had, or may not be stored: %(count)d."), count=run["failed"]))

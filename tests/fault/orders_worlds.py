"""What a journal may find when it starts: nothing, a file of a former version, a broken file."""

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.market.journal.entries import Moment
from gateway.market.journal.journal import FILE
from gateway.market.journal.ledger import Ledger
from gateway.market.states import State
from tests.clocks import HandClock
from tests.fault.orders_script import Stand, Step, a_writer, orders, play, script, stand
from tests.unit.market.former_journal import write_former


@dataclass(frozen=True)
class World:
    """A folder as it is before the start, and what is asked of the journal then."""

    name: str
    lay_out: Callable[[Path], None]
    steps: Sequence[Step]
    put_aside: int = 0  # broken files that lie beside the journal afterwards


def _nothing(folder: Path) -> None:
    del folder


def _former(folder: Path) -> None:
    made = orders(18)
    became = ([State.RECORDED, State.QUEUED], [State.RECORDED, State.QUEUED, State.SENDING, State.ACCEPTED])
    states = [became[place % 3 > 1] for place in range(len(made))]
    write_former(folder / FILE, [(order, ("ana", "luis")[place % 2]) for place, order in enumerate(made)], states)


def _broken(folder: Path) -> None:
    clock = HandClock()
    writer = a_writer(folder, clock)
    writer.start()
    for step in script()[:10]:
        play(writer, clock, step)
    writer.stop()
    with sqlite3.connect(folder / FILE) as other:
        (page,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name='orders_of_merchant'").fetchone()
    other.close()
    with (folder / FILE).open("r+b") as file:  # an index: all rows can be read, the file is broken all the same
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)


def _take_all(ledger: Ledger, at: Moment) -> object:
    return ledger.take(500, 1_000_000, at)[0]


def _record_late(ledger: Ledger, at: Moment) -> object:
    return ledger.record_all(orders()[20:24], "eva", "", at)


_AFTERWARDS = (Step((_record_late,)), Step((_take_all,)))
WORLDS = {
    world.name: world
    for world in (
        World("new", _nothing, script()),
        World("former", _former, _AFTERWARDS),
        World("broken", _broken, _AFTERWARDS, put_aside=1),
    )
}


def stands_in(world: World, begun: Path, folder: Path) -> list[Stand]:
    """Return how a journal stands that starts in a copy of the folder `begun`, and after each step."""
    shutil.copytree(begun, folder)
    clock = HandClock()
    writer = a_writer(folder, clock)
    writer.start()
    found = [stand(writer)]
    for step in world.steps:
        play(writer, clock, step)
        found.append(stand(writer))
    writer.stop()
    return found


def reopened_in(world: World, folder: Path) -> Stand:
    """Return how a journal stands once it is opened again, after whatever happened; it takes orders."""
    writer = a_writer(folder, HandClock())
    writer.start()
    try:
        statistics = writer.statistics()
        assert (statistics.is_taking, statistics.put_aside) == (True, world.put_aside)
        return stand(writer)
    finally:
        writer.stop()

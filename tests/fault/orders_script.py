"""A day in a journal's life, the same each time: what must stand in it after each step is known beforehand.

Whatever happens to the process or the disk, the journal must come back as it stood after the last step that was said
to be done, or after the one that was being done: nothing lost, nothing invented, no step by half.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from gateway.durable.ballast import Ballast
from gateway.durable.database import Connect, connect
from gateway.durable.vault import Vault
from gateway.durable.writer import Request
from gateway.errors import NoCapacity
from gateway.exchange.backoff import Patience
from gateway.market.attention import Attention, Code, Remark
from gateway.market.batch import Outcome, Receipt, Verdict
from gateway.market.journal.entries import Moment
from gateway.market.journal.journal import FILE
from gateway.market.journal.ledger import Ledger
from gateway.market.journal.writer import Writer
from gateway.market.order import Order
from gateway.market.states import State
from tests.clocks import HandClock
from tests.unit.market.orders import KEY, an_order

DAY_S = 86_400.0
MANY = 1_000_000
TRIES_MAX = 50  # a disk of these tests works again before that
_PATIENCE = Patience(refusals_max=1, pause_s_min=0.0)  # what is refused once waits for a person, restart or not

Work = Callable[[Ledger, Moment], object]
Stand = dict[str, object]


@dataclass(frozen=True)
class Step:
    """What is asked of the journal at once."""

    works: tuple[Work, ...]
    wall_s: float = HandClock.wall  # when; the same however often it is tried


def a_writer(folder: Path, clock: HandClock, *, key: bytes = KEY, opens: Connect = connect) -> Writer:
    """Return a journal's writer that runs in the thread of whoever calls it."""
    ballast = Ballast(folder, ballast_bytes=8_192, free_bytes_min=0)
    return Writer(folder / FILE, "SMT", Vault(key), clock, ballast, opens)


def orders(count: int = 48) -> list[Order]:
    """Return the orders of the script; some are long."""
    random = Random(5)
    return [
        an_order(
            id=str(uuid.UUID(int=random.getrandbits(128), version=4)),
            note="".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.choice([0, 60, 480]))),
            **({"priority": "urgent"} if place % 5 == 0 else {}),
        )
        for place in range(count)
    ]


def script() -> list[Step]:
    """Return the steps of the day."""
    made = orders()
    one, two, three, four, five, six = made[:6]
    bulk = made[6:18]
    late, single = made[18:24], made[24:]
    told = [
        Verdict(one.id, State.ACCEPTED, revision=2, arrived_at="2027-01-15T09:00:00Z"),
        Verdict(three.id, State.REJECTED, "No sale today"),
        Verdict(four.id, State.ACCEPTED),
        Verdict(five.id, State.NEEDS_ATTENTION, "", Attention(Code.PRICE_CHANGED, (Remark("quinua", 950),))),
        Verdict(six.id, State.AT_HUB),
        Verdict(bulk[0].id, State.QUEUED, "Later, please"),
        *(Verdict(order.id, State.ACCEPTED) for order in bulk[1:]),
    ]
    again = [
        Verdict(one.id, State.ACCEPTED, revision=3),
        Verdict(three.id, State.ACCEPTED),
        Verdict(four.id, State.NEEDS_ATTENTION, "", Attention(Code.CHANGE_NOT_TAKEN), 2),
        Verdict(six.id, State.CANCELLED, revision=2),
        Verdict(bulk[0].id, State.ACCEPTED),
    ]
    later = [Receipt(order.id, Outcome.FULFILLED) for order in bulk[1:8]] + [Receipt(late[5].id, Outcome.ACCEPTED)]
    last = [Verdict(five.id, State.ACCEPTED, revision=2), Verdict(late[0].id, State.CANCELLED, revision=2)]
    steps = [
        Step((_record(one, "ana"),)),
        Step((_record(two, "ana"), _record(three, "luis"), _record(four, "ana"))),
        Step((_record(five, "eva"), _record(five, "eva"), _record(six, "luis"))),
        Step((lambda ledger, at: ledger.record_all(bulk, "luis", "cashier", at),)),
        Step((_change(one, "ana", 1, "changed before it left"),)),
        Step((_cancel(two, "ana", 1),)),
        Step((_take,)),
        Step((_change(four, "ana", 1, "changed while under way"),)),
        Step((_settle(told),)),
        Step((_change(one, "ana", 2, "changed after it arrived"), _cancel(six, "luis", 1))),
        Step((lambda ledger, at: ledger.requeue(three.id, None, at),)),
        Step((lambda ledger, at: ledger.requeue(bulk[0].id, "luis", at),)),
        Step((lambda ledger, at: ledger.learn(later, "page 1", at),)),
        Step((_take,)),
        Step((_settle(again),)),
        *(Step((_record(order, "eva"),)) for order in single),  # enough for the log to go into the file in between
        Step((lambda ledger, at: ledger.record_all(late[:3], "ana", "", at),)),
        Step((_trim,)),
        Step((_record(bulk[2], "luis"), _record(late[3], "luis"))),  # the first is trimmed, its receipt is not
        Step((lambda ledger, at: ledger.export(ledger.standings.waiting(), at),)),
        Step((_cancel(late[0], "ana", 1), _change(five, "eva", 1, "at the new price"))),
        Step((_take,)),
        Step((_settle(last),)),
        Step((_record(late[4], "eva"), _record(late[5], "eva"))),
    ]  # fmt: skip
    kept_s = 100 * DAY_S  # until what is settled is trimmed
    trimming = next(place for place, step in enumerate(steps) if step.works == (_trim,))
    return [
        replace(step, wall_s=step.wall_s + 60 * place + kept_s * (place >= trimming))
        for place, step in enumerate(steps)
    ]


def play(writer: Writer, clock: HandClock, step: Step) -> None:
    """Do a step, at its time.

    Raises: what was refused.
    """
    clock.pass_s(60)
    at = Moment(step.wall_s, clock.now_s(), "b00t")
    requests = [Request(lambda ledger, work=work: work(ledger, at), True, False) for work in step.works]  # type: ignore[misc]
    writer.serve(requests)
    for request in requests:
        if request.error is not None:
            raise request.error


def stand(writer: Writer) -> Stand:
    """Return all that a journal says: of each order, of what was trimmed, and of what is to be done."""
    ledger = writer._book
    assert ledger is not None
    entries, tables, standings = ledger.entries, ledger.tables, ledger.standings
    rows = list(tables.orders("1 ORDER BY number"))
    said: Stand = {row.id: (entries.view(row), tuple(entries.history(row.number))) for row in rows}
    kept = "SELECT id, receipt, state, hash FROM trimmed ORDER BY number"
    said["trimmed"] = tables.connection.execute(kept).fetchall()
    said["cursor"] = ledger.cursor()
    said["to send"] = standings.waiting()
    said["open"] = [standings.counts(merchant) for merchant in (None, "ana", "luis", "eva")]
    assert not entries.damaged
    return said


def through_failures(writer: Writer, clock: HandClock, steps: Sequence[Step], known: Sequence[Stand]) -> int:
    """Do all steps on a disk that may fail, going on once it works again; return how often one was refused.

    After each refusal the journal stands as before the step or as after it, and goes on from there.
    """
    refusals = place = 0
    under_way: set[int] = set()
    while place < len(steps):
        try:
            play(writer, clock, steps[place])
        except NoCapacity:
            refusals += 1
            while (found := mended(writer, clock)) is None:
                refusals += 1
                assert refusals < TRIES_MAX, "it takes orders again"
            assert found in (known[place], known[place + 1]), "a step by half"
            place += found == known[place + 1] and steps[place].works != (_take,)
            assert writer._book is not None
            writer._book._in_flight = set(under_way)  # it awaits no answer any more; the day must go on all the same
        else:
            place += 1
            under_way = set(writer._book._in_flight) if writer._book is not None else set()
    return refusals


def mended(writer: Writer, clock: HandClock) -> Stand | None:
    """Return how a journal stands that was opened again after a failure; None while it fails."""
    clock.pass_s(10)
    request: Request[Ledger] = Request(lambda ledger: ledger.cursor(), True, False)
    writer.serve([request])
    return None if request.error is not None else stand(writer)


def _record(order: Order, merchant: str) -> Work:
    return lambda ledger, at: ledger.record(order, merchant, "", at)


def _change(order: Order, merchant: str, shown: int, note: str) -> Work:
    changed = order.model_copy(update={"note": note})
    return lambda ledger, at: ledger.change(
        order.id, merchant, changed, shown=shown, made_by=merchant, only_unsent=False, at=at
    )


def _cancel(order: Order, merchant: str, shown: int) -> Work:
    return lambda ledger, at: ledger.change(
        order.id, merchant, None, shown=shown, made_by=merchant, only_unsent=False, at=at
    )


def _take(ledger: Ledger, at: Moment) -> object:
    return ledger.take(500, MANY, at)[0]


def _settle(verdicts: Sequence[Verdict]) -> Work:
    is_its_fault = any(verdict.state is not State.QUEUED for verdict in verdicts)
    return lambda ledger, at: ledger.settle(verdicts, _PATIENCE, at, is_its_fault=is_its_fault)


def _trim(ledger: Ledger, at: Moment) -> object:
    return ledger.trim(at.wall_s - 90 * DAY_S, 1_000)

"""A change or a cancel is a revision of its own: local before the order left, sent after it; never over another's."""

import asyncio
from pathlib import Path

import pytest

from gateway.errors import Conflict, NotFound
from gateway.market.attention import Attention, Code, Remark
from gateway.market.batch import Outcome, Receipt, Verdict
from gateway.market.journal.journal import Journal
from gateway.market.journal.ledger import REVISIONS_MAX
from gateway.market.order import Order
from gateway.market.records import Counts, OrderView
from gateway.market.states import State
from tests.clocks import HandClock
from tests.unit.market.conftest import LIMITS
from tests.unit.market.orders import KEY, PATIENCE, an_order

MANY = 1_000_000


async def recorded(journal: Journal, count: int = 1) -> list[Order]:
    orders = [an_order() for _ in range(count)]
    for order in orders:
        await journal.record(order, "ana")
    return orders


async def accepted(journal: Journal) -> Order:
    [order] = await recorded(journal)
    await journal.take(1, MANY)
    await journal.settle([Verdict(order.id, State.ACCEPTED)], PATIENCE)
    return order


def noted(order: Order, note: str) -> Order:
    return order.model_copy(update={"note": note})


async def seen(journal: Journal, order: Order) -> OrderView:
    found = await journal.one(order.id)
    assert found is not None
    return found


async def test_a_change_before_the_order_left_goes_out_in_its_place(journal: Journal) -> None:
    [order] = await recorded(journal)
    changed = await journal.change(order.id, "ana", noted(order, "más"), shown=1, made_by="rosa")
    assert (changed.revision, changed.made_by, changed.state, changed.was_sent) == (2, "rosa", State.QUEUED, False)
    assert changed.receipt == "SMT-0001-0001"
    [sent] = await journal.take(9, MANY)
    assert (sent.revision, sent.order.note, sent.is_cancelled) == (2, "más", False)


async def test_a_cancel_before_the_order_left_ends_it_here(journal: Journal) -> None:
    [order] = await recorded(journal)
    cancelled = await journal.change(order.id, "ana", None, shown=1)
    assert (cancelled.state, cancelled.revision, cancelled.order) == (State.CANCELLED, 2, order)
    assert await journal.take(9, MANY) == []
    assert journal.counts(None) == Counts()
    with pytest.raises(Conflict):
        await journal.change(order.id, "ana", order, shown=2)


async def test_a_change_after_the_order_arrived_is_sent_as_a_revision(journal: Journal) -> None:
    order = await accepted(journal)
    changed = await journal.change(order.id, "ana", noted(order, "más"), shown=1)
    assert (changed.state, changed.was_sent, journal.counts("ana")) == (State.QUEUED, True, Counts(1, 0))
    [sent] = await journal.take(9, MANY)
    assert (sent.revision, sent.order.note) == (2, "más")
    await journal.settle([Verdict(order.id, State.ACCEPTED, revision=2)], PATIENCE)
    assert ((await seen(journal, order)).state, journal.counts("ana")) == (State.ACCEPTED, Counts())


async def test_a_cancel_after_the_order_may_have_arrived_is_sent(journal: Journal) -> None:
    [order] = await recorded(journal)
    await journal.take(9, MANY)
    await journal.give_back([order.id])  # no word of it: it may be there
    waiting = await journal.change(order.id, "ana", None, shown=1)
    assert waiting.state is State.QUEUED
    [sent] = await journal.take(9, MANY)
    assert (sent.revision, sent.is_cancelled, sent.order) == (2, True, order)
    await journal.settle([Verdict(order.id, State.CANCELLED, revision=2)], PATIENCE)
    assert (await seen(journal, order)).state is State.CANCELLED


@pytest.mark.parametrize("said", [State.ACCEPTED, State.REJECTED, State.NEEDS_ATTENTION, State.AT_HUB, State.QUEUED])
async def test_a_change_while_the_order_is_under_way_goes_out_after_its_answer(journal: Journal, said: State) -> None:
    [order] = await recorded(journal)
    await journal.take(9, MANY)
    await journal.change(order.id, "ana", noted(order, "más"), shown=1)
    attention = Attention(Code.OUT_OF_STOCK) if said is State.NEEDS_ATTENTION else None
    await journal.settle([Verdict(order.id, said, "dicho", attention)], PATIENCE)
    view = await seen(journal, order)
    assert (view.state, view.revision, view.attention) == (State.QUEUED, 2, None)
    [sent] = await journal.take(9, MANY)
    assert (sent.revision, sent.order.note) == (2, "más")


@pytest.mark.parametrize(
    ("is_cancel", "said"), [(False, State.FULFILLED), (True, State.FULFILLED), (False, State.CANCELLED)]
)
async def test_a_change_that_came_too_late_is_told_and_not_shown_as_done(
    journal: Journal, is_cancel: bool, said: State
) -> None:
    [order] = await recorded(journal)
    await journal.take(9, MANY)
    await journal.change(order.id, "ana", None if is_cancel else noted(order, "más"), shown=1)
    await journal.settle([Verdict(order.id, said, "ya está")], PATIENCE)
    view = await seen(journal, order)
    assert (view.state, view.attention) == (State.NEEDS_ATTENTION, Attention(Code.CHANGE_NOT_TAKEN))
    assert (view.reason, journal.counts("ana")) == ("ya está", Counts(0, 1))


async def test_a_cancel_of_what_the_marketplace_cancelled_itself_is_at_its_end(journal: Journal) -> None:
    [order] = await recorded(journal)
    await journal.take(9, MANY)
    await journal.change(order.id, "ana", None, shown=1)
    await journal.settle([Verdict(order.id, State.CANCELLED, "cerrado")], PATIENCE)
    assert ((await seen(journal, order)).state, journal.counts(None)) == (State.CANCELLED, Counts())


async def test_of_two_changes_of_the_same_revision_one_is_taken(journal: Journal) -> None:
    [order] = await recorded(journal)

    async def change(note: str) -> str | None:
        try:
            return (await journal.change(order.id, "ana", noted(order, note), shown=1)).order.note  # type: ignore[union-attr]
        except Conflict:
            return None

    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(change(note)) for note in ("uno", "dos", "tres")]
    taken = [task.result() for task in asked if task.result()]
    assert len(taken) == 1
    assert ((await seen(journal, order)).order or order).note == taken[0]


async def test_nobody_changes_what_is_not_theirs_or_not_there(journal: Journal) -> None:
    [order] = await recorded(journal)
    for order_id, merchant in ((order.id, "luis"), (an_order().id, "ana")):
        with pytest.raises(NotFound):
            await journal.change(order_id, merchant, None, shown=1)
        with pytest.raises(NotFound):
            await journal.requeue(order_id, merchant)
    assert (await seen(journal, order)).revision == 1


async def test_who_may_change_only_what_never_left_changes_nothing_else(journal: Journal) -> None:
    order, (unsent,) = await accepted(journal), await recorded(journal)
    with pytest.raises(Conflict):
        await journal.change(order.id, "ana", None, shown=1, only_unsent=True)
    assert (await seen(journal, order)).revision == 1
    assert (await journal.change(unsent.id, "ana", None, shown=1, only_unsent=True)).state is State.CANCELLED


async def test_an_order_is_changed_only_so_often(journal: Journal) -> None:
    [order] = await recorded(journal)
    for revision in range(1, REVISIONS_MAX):
        await journal.change(order.id, "ana", noted(order, str(revision)), shown=revision)
    with pytest.raises(Conflict):
        await journal.change(order.id, "ana", noted(order, "x"), shown=REVISIONS_MAX)


async def test_changes_and_what_was_said_are_there_after_a_restart(
    journal: Journal, tmp_path: Path, clock: HandClock
) -> None:
    changed, cancelled, told = await recorded(journal, 3)
    await journal.change(cancelled.id, "ana", None, shown=1)
    await journal.take(9, MANY)
    attention = Attention(Code.PRICE_CHANGED, (Remark("quinua", 950), Remark("papa-amarilla", None, "0.5")))
    await journal.settle([Verdict(told.id, State.NEEDS_ATTENTION, "sube", attention)], PATIENCE)
    await journal.change(changed.id, "ana", noted(changed, "más"), shown=1)
    before = await journal.newest(None, 9)
    counts = journal.counts("ana")
    await journal.stop()
    again = Journal(tmp_path / "market", "SMT", KEY, clock, LIMITS)
    await again.start()
    assert await again.newest(None, 9) == before
    assert again.counts("ana") == counts == Counts(1, 1)
    assert (await seen(again, told)).attention == attention
    assert [(each.revision, each.order.note) for each in await again.take(9, MANY)] == [(2, "más")]
    await again.stop()


async def test_a_rejected_order_goes_once_more_when_somebody_says_so(journal: Journal) -> None:
    [order] = await recorded(journal)
    with pytest.raises(Conflict):
        await journal.requeue(order.id, None)  # it goes by itself
    await journal.take(9, MANY)
    await journal.settle([Verdict(order.id, State.REJECTED, "cerrado")], PATIENCE)
    assert ((await seen(journal, order)).reason, journal.counts(None)) == ("cerrado", Counts())
    again = await journal.requeue(order.id, "ana")
    assert (again.state, again.revision, journal.counts(None)) == (State.QUEUED, 1, Counts(1, 0))
    assert [each.id for each in await journal.take(9, MANY)] == [order.id]


async def test_an_order_refused_again_and_again_waits_apart_until_somebody_lets_it_go(journal: Journal) -> None:
    poison, good = await recorded(journal, 2)
    for _ in range(PATIENCE.refusals_max):
        await journal.take(9, MANY)
        await journal.settle(
            [Verdict(poison.id, State.QUEUED, "no"), Verdict(good.id, State.ACCEPTED)], PATIENCE, is_alone=True
        )
    view = await seen(journal, poison)
    assert (view.state, view.reason, view.attention) == (State.NEEDS_ATTENTION, "no", Attention(Code.UNDELIVERABLE))
    assert await journal.take(9, MANY) == []
    await journal.requeue(poison.id, None)
    assert [each.id for each in await journal.take(9, MANY)] == [poison.id]


async def test_orders_together_are_recorded_all_or_none(journal: Journal) -> None:
    [known] = await recorded(journal)
    new = [an_order() for _ in range(3)]
    assert await journal.record_all([*new, noted(known, "otra")], "ana") is None
    assert await journal.record_all([*new, noted(new[0], "otra")], "ana") is None
    assert await journal.record_all([*new, known], "luis") is None
    assert [view.id for view in await journal.newest(None, 9)] == [known.id]
    found = await journal.record_all([*new, known, new[0]], "ana")
    assert found is not None
    assert [(each.receipt[-4:], each.is_new) for each in found] == [
        ("0002", True),
        ("0003", True),
        ("0004", True),
        ("0001", False),
        ("0002", False),
    ]
    again = await journal.record_all(new, "ana")
    assert again is not None
    assert [each.is_new for each in again] == [False] * 3


async def test_what_is_said_later_counts_only_of_orders_that_were_sent(journal: Journal) -> None:
    sent, (unsent,) = await accepted(journal), await recorded(journal)
    words = [Receipt(each, Outcome.FULFILLED) for each in (unsent.id, an_order().id, sent.id)]
    assert await journal.learn(words, "7")
    assert [(await seen(journal, each)).state for each in (sent, unsent)] == [State.FULFILLED, State.QUEUED]
    assert await journal.cursor() == "7"
    await journal.learn([Receipt(sent.id, Outcome.CANCELLED)], "8")
    assert (await seen(journal, sent)).state is State.FULFILLED


@pytest.mark.parametrize("revision", [1, 3])
async def test_what_is_said_later_of_another_revision_does_not_count(journal: Journal, revision: int) -> None:
    order = await accepted(journal)
    await journal.change(order.id, "ana", noted(order, "más"), shown=1)
    await journal.take(9, MANY)
    await journal.settle([Verdict(order.id, State.ACCEPTED, revision=2)], PATIENCE)
    await journal.learn([Receipt(order.id, Outcome.REJECTED, "tarde", revision)], "1")
    assert (await seen(journal, order)).state is State.ACCEPTED
    await journal.learn([Receipt(order.id, Outcome.REJECTED, "sin stock", 2)], "2")
    assert ((await seen(journal, order)).state, (await seen(journal, order)).reason) == (State.REJECTED, "sin stock")


async def test_an_accepted_order_that_later_needs_a_person_is_counted_and_listed_at_once(journal: Journal) -> None:
    order = await accepted(journal)
    attention = Attention(Code.OUT_OF_STOCK, (Remark("quinua", None, "1"),))
    await journal.learn([Receipt(order.id, Outcome.ATTENTION, "", 1, attention)], "1")
    assert journal.counts("ana") == Counts(0, 1)
    [view] = await journal.newest("ana", 9, states=frozenset({State.NEEDS_ATTENTION}))
    assert (view.id, view.attention) == (order.id, attention)
    await journal.learn([Receipt(order.id, Outcome.ACCEPTED)], "2")
    assert journal.counts("ana") == Counts()


async def test_an_accepted_order_is_not_said_to_wait_over_there_again(journal: Journal) -> None:
    order = await accepted(journal)
    await journal.learn([Receipt(order.id, Outcome.HELD)], "1")
    assert [step.state for step in await journal.history(order.id)][-1] is State.ACCEPTED


async def test_a_word_about_an_order_whose_answer_is_awaited_is_asked_for_again(journal: Journal) -> None:
    [order] = await recorded(journal)
    await journal.take(9, MANY)
    word = Receipt(order.id, Outcome.FULFILLED)
    assert not await journal.learn([word], "1")
    assert ((await seen(journal, order)).state, await journal.cursor()) == (State.SENDING, "")
    await journal.settle([Verdict(order.id, State.ACCEPTED)], PATIENCE)
    assert await journal.learn([word], "1")
    assert ((await seen(journal, order)).state, await journal.cursor()) == (State.FULFILLED, "1")


async def test_what_is_carried_away_counts_as_sent_and_goes_on_waiting(journal: Journal) -> None:
    orders = await recorded(journal, 3)
    assert [each.id async for piece in journal.export() for each in piece] == [order.id for order in orders]
    assert journal.counts(None) == Counts(3, 0)
    assert (await journal.change(orders[0].id, "ana", None, shown=1)).state is State.QUEUED
    assert len(await journal.take(9, MANY)) == 3

"""What must stand in the kernel, and what the box and the shaper say to each other."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.backhaul.sensing.samples import Way
from gateway.backhaul.shaping.kernel import plan, rules, talk, wire
from gateway.backhaul.shaping.kernel.plan import PARTS, Features, Part, Queueing
from gateway.backhaul.shaping.kernel_client import NOT_THERE, KernelRates, KernelShaper
from gateway.backhaul.sharing.classes import TrafficClass
from tests.clocks import HandClock
from tests.waiting import wait_until

rates = some.integers(0, 20_000_000_000)
CALL_BPS = 560_000  # 50 packets of 100 bytes and a picture of 500 kb/s, with headers


@given(rates)
def test_guarantees_add_up_to_no_more_than_the_link(rate_bps: int) -> None:
    link, *classes = plan.upper(rate_bps, PARTS)
    assert link.rate_bps == link.ceil_bps == plan.within(rate_bps)
    assert sum(each.rate_bps for each in classes) <= link.rate_bps
    assert all(each.rate_bps <= each.ceil_bps <= link.rate_bps for each in classes)


@given(rates, rates)
def test_no_class_gets_less_of_a_faster_link(one_bps: int, other_bps: int) -> None:
    slower, faster = sorted((one_bps, other_bps))
    for less, more in zip(plan.upper(slower, PARTS), plan.upper(faster, PARTS), strict=True):
        assert less.rate_bps <= more.rate_bps
        assert less.ceil_bps <= more.ceil_bps
    assert plan.queue_bytes(slower) <= plan.queue_bytes(faster)


def test_a_call_fits_its_class_where_it_fits_the_link() -> None:
    calls = next(each for each in plan.upper(1_000_000, PARTS) if each.number == plan.inner_of(TrafficClass.REALTIME))
    assert calls.rate_bps > CALL_BPS
    assert calls.ceil_bps < 1_000_000


def test_the_box_goes_before_the_devices_of_its_class_and_classes_in_their_order() -> None:
    priorities = {each.number: each.priority for each in plan.leaves(8)}
    order = [priorities[plan.leaf_of(each, queue)] for each in TrafficClass for queue in (0, 1)]
    assert order == sorted(order)
    assert len(set(order)) == 8
    assert {priorities[plan.leaf_of(TrafficClass.WEB, queue)] for queue in range(1, 10)} == {5}


@pytest.mark.parametrize("devices", [0, 8, 250])
def test_every_queue_has_a_number_of_its_own(devices: int) -> None:
    numbers = [each.number for each in plan.leaves(devices)]
    above = [each.number for each in plan.upper(1_000_000, PARTS)]
    assert len({*numbers, *above}) == len(numbers) + len(above)
    assert all(plan.class_of(number) is not None for number in numbers)
    assert all(plan.class_of(number) is None for number in above)
    assert max(numbers) + plan.BELOW < plan.HANDLE


def test_a_waiting_packet_waits_for_one_other_at_most() -> None:
    for each in plan.upper(4_000_000, PARTS):
        assert each.burst_bytes < 2 * plan.PACKET_BYTES


def test_limits_follow_the_rate_but_not_each_of_its_steps() -> None:
    assert not plan.limits_stale(4_000_000, 4_200_000)
    assert plan.limits_stale(4_000_000, 40_000_000)
    assert not plan.limits_stale(100_000, 50_000)  # three packets either way


@pytest.mark.parametrize(
    ("features", "queueing"),
    [
        (Features(cake=True, htb=True, tbf=True), Queueing.CAKE),
        (Features(htb=True, tbf=True), Queueing.HTB),
        (Features(htb=True), None),
        (Features(), None),
    ],
)
def test_cake_is_preferred(features: Features, queueing: Queueing | None) -> None:
    assert features.queueing is queueing


def test_what_arrives_can_be_shaped_only_through_an_ifb() -> None:
    assert not Features(answers=True, redirect=True).arriving
    assert Features(ifb=True, answers=True).arriving
    assert Features(ifb=True, redirect=True).arriving


@pytest.mark.parametrize(
    "parts",
    [
        {each: Part(0.3, 1.0) for each in TrafficClass},
        {TrafficClass.WEB: Part(0.5, 1.0)},
    ],
)
def test_parts_that_do_not_add_up_are_refused(parts: dict[TrafficClass, Part]) -> None:
    with pytest.raises(ValueError):
        plan.checked(parts)


def test_a_guarantee_above_its_ceiling_is_refused() -> None:
    with pytest.raises(ValueError):
        Part(0.5, 0.4)


@pytest.mark.parametrize("queueing", list(Queueing))
def test_rules_name_every_class_once_for_each_mark(queueing: Queueing) -> None:
    text = rules.ruleset("wwan0", queueing, 64, windows=True)
    marks = [mark for named in rules.DSCP.values() for mark in named]
    assert len(set(marks)) == len(marks)
    assert "46 : goto realtime" in text
    assert "1 : goto bulk" in text  # LE, RFC 8622
    assert text.count("{") == text.count("}")
    assert text.index("delete table inet tambo") < text.index("table inet tambo {")


def test_a_device_without_a_queue_gets_the_next_one() -> None:
    text = rules.ruleset("wwan0", Queueing.HTB, 64, windows=False)
    assert "numgen inc mod 64 offset 2053111809" in text  # 7a60:1 and on
    assert "numgen" not in rules.ruleset("wwan0", Queueing.CAKE, 64, windows=False)


def test_counters_are_read_from_what_the_kernel_says_of_a_class() -> None:
    basic = struct.pack("=HHQII", 20, 1, 123_456, 99, 0)
    queue = struct.pack("=HHIIIII", 24, 3, 2, 3_000, 7, 0, 0)
    told = struct.pack("=BxxxiIII", 0, 3, 0x7A600305, 0x7A600012, 0)
    told += struct.pack("=HH", 4 + len(basic) + len(queue), 7) + basic + queue
    assert wire.counters_of(told) == wire.ClassCounters(0x305, 123_456, 7, 3_000)


@given(some.binary(max_size=200))
def test_no_answer_of_any_shape_breaks_the_reading(data: bytes) -> None:
    for _, number, content in wire.answers(data):
        assert len(content) <= len(data)
        assert number >= 0


def test_only_the_last_of_a_batch_is_answered() -> None:
    classes = [wire.htb_class(3, each, new=False) for each in plan.upper(1_000_000, PARTS)]
    messages = list(wire.answers(wire.acknowledged(classes, 7)))
    assert [number for _, number, _ in messages] == [0, 0, 0, 0, 7]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{",
        b'{"rates": {"down_bps": -1, "up_bps": 1}}',
        b'{"rates": {"down_bps": 1.5, "up_bps": 1}}',
        b'{"rates": {"down_bps": 1}}',
        b'{"rates": {"down_bps": 1, "up_bps": 1, "command": "rm"}}',
        b'{"rates": {"down_bps": 1, "up_bps": 99999999999999}}',
        b'{"rates": {"down_bps": 1, "up_bps": 1, "parts": {"web": {"rate_ratio": 1, "ceil_ratio": 1}}}}',
        b'{"status": "yes please", "more": 1}',
    ],
)
def test_what_is_not_an_order_is_refused(line: bytes) -> None:
    with pytest.raises(talk.Misspoken):
        talk.order_of(line)


def test_an_order_without_parts_means_those_of_the_plan() -> None:
    order = talk.order_of(b'{"rates": {"down_bps": 4000000, "up_bps": 1000000}, "status": true}')
    assert order.rates is not None
    assert order.rates.as_parts() == PARTS


class Listening:
    """A shaper that only notes what it is told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[talk.Order] = []
        self.callers: list[asyncio.StreamWriter] = []

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.callers.append(writer)
        while line := await reader.readline():
            self.heard.append(talk.order_of(line))
            account = talk.SaidAccount(sent_bytes=10, routed_bytes=4, drops=0, backlog_bytes=0)
            writer.write(talk.line_of(talk.Report(shaping=True, queueing="htb", down={TrafficClass.WEB: account})))
        writer.close()


@pytest.fixture
async def listening(tmp_path: Path) -> AsyncIterator[Listening]:
    shaper = Listening(tmp_path / "shaper.sock")
    async with await asyncio.start_unix_server(shaper.meet, shaper.path) as server:
        yield shaper
        server.close()


async def test_the_latest_rates_win_and_nothing_waits_for_the_shaper(listening: Listening, clock: HandClock) -> None:
    client = KernelShaper(listening.path, clock)
    for rate_bps in range(1_000_000, 2_000_000, 1_000):
        client.tell(KernelRates(rate_bps, 500_000))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(client.run())
        await wait_until(lambda: client.status().reached)
        client.tell(KernelRates(3_000_000, 500_000))
        await wait_until(lambda: len(listening.heard) > 1)
        running.cancel()
    told = [order.rates.down_bps for order in listening.heard if order.rates is not None]
    assert told == [1_999_000, 3_000_000]


async def test_counters_come_with_the_moment_they_were_read(listening: Listening, clock: HandClock) -> None:
    client = KernelShaper(listening.path, clock)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(client.run())
        await wait_until(lambda: client.status().at_s is not None)
        status = client.status()
        running.cancel()
    assert status.at_s == clock.now
    assert status.carried[Way.DOWN][TrafficClass.WEB].routed_bytes == 4
    assert status.cannot == ()


async def test_without_a_shaper_the_box_says_what_it_cannot_do(tmp_path: Path, clock: HandClock) -> None:
    client = KernelShaper(tmp_path / "shaper.sock", clock)
    client.tell(KernelRates(1_000_000, 500_000))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(client.run())
        await asyncio.sleep(0)
        running.cancel()
    assert not client.status().reached
    assert client.status().cannot == (NOT_THERE,)


async def test_a_shaper_that_goes_is_noticed(listening: Listening, clock: HandClock) -> None:
    client = KernelShaper(listening.path, clock)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(client.run())
        await wait_until(lambda: client.status().shaping)
        listening.callers[0].transport.abort()
        client.tell(KernelRates(1_000_000, 500_000))
        await wait_until(lambda: not client.status().reached)
        running.cancel()

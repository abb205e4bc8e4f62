"""A marketplace that loses, doubles, refuses and lies, a box that stops in between: each order takes effect once."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

from gateway.backhaul.dialer import OpenDialer
from gateway.backhaul.link import Backhaul
from gateway.clock import SystemClock
from gateway.demo.marketplace import DemoMarketplace
from gateway.exchange.backoff import Patience
from gateway.exchange.exchange import DeliveryLimits
from gateway.market.batch import Batch, Outcome, Receipt
from gateway.market.marketplaces.http import HttpMarketplace
from gateway.market.room import MarketLimits, MarketRoom
from gateway.market.states import State
from tests.unit.market.orders import KEY, an_order, new_id
from tests.waiting import wait_until

LIMITS = MarketLimits(
    batch_orders_max=7,
    retry_s_min=0.001,
    retry_s_max=0.004,
    gather_s=0.0,
    patience=Patience(refusals_max=1_000, pause_s_min=0.0),
    ballast_bytes=0,
    free_bytes_min=0,
)
ROUNDS = 6
ORDERS_A_ROUND = 12


class LyingMarketplace(HttpMarketplace):
    """Passes on what the demo says, and at times lies about orders that were not sent, or says nothing of some."""

    def __init__(self, url: str, backhaul: Backhaul, random: Random, others: Sequence[str]) -> None:
        limits = DeliveryLimits(connect_s=2.0, silence_s=2.0)
        super().__init__(url, dialer=OpenDialer(), backhaul=backhaul, clock=SystemClock(), limits=limits)
        self._random = random
        self._others = others

    async def deliver(self, batch: Batch) -> Sequence[Receipt]:
        sent = {order.id for order in batch.orders}
        true = [receipt for receipt in await super().deliver(batch) if self._random.random() > 0.2]
        lies = [Receipt(each, Outcome.ACCEPTED) for each in (*self._others, new_id()) if each not in sent]
        said = true + lies
        self._random.shuffle(said)
        return said


async def answers(peer: tuple[str, int]) -> bool:
    return True


def a_room(folder: Path, marketplace: LyingMarketplace, backhaul: Backhaul) -> MarketRoom:
    return MarketRoom(
        key=KEY,
        boot="",
        receipt_seed=KEY,
        photo_key=KEY,
        trusted_boxes=(),
        marketplace_name="",
        folder=folder,
        box_name="san-mateo",
        receipt_code="SMT",
        clock=SystemClock(),
        backhaul=backhaul,
        marketplace=marketplace,
        catalogue=None,
        limits=LIMITS,
        random=Random(1),
    )


async def test_each_recorded_order_takes_effect_exactly_once(tmp_path: Path) -> None:
    random, recorded = Random(11), list[str]()
    far = DemoMarketplace(tmp_path / "far")
    host, port = await far.start("127.0.0.1", 0)
    backhaul = Backhaul(SystemClock(), capacity=None, carrier=lambda: True, probe=answers)
    url = f"http://{host}:{port}/orders"
    for round_ in range(ROUNDS):
        is_last = round_ == ROUNDS - 1
        room = a_room(tmp_path / "market", LyingMarketplace(url, backhaul, random, recorded), backhaul)
        await room.start()
        async with asyncio.TaskGroup() as tasks:
            draining = tasks.create_task(room.run())
            for _ in range(ORDERS_A_ROUND):
                order = an_order()
                await room.record(order, "ana")
                recorded.append(order.id)
                _misbehave(far, random)
            if is_last:
                await wait_until(lambda: room.statistics().waiting == 0, 30)  # noqa: B023
            else:  # stopped in the middle of whatever it does
                before = room.statistics().drain.batches
                with suppress(TimeoutError):
                    await wait_until(lambda: room.statistics().drain.batches > before, 0.05)  # noqa: B023
            draining.cancel()
        views = {view.id: view.state for view in await room.orders(None, 200)}
        await room.stop()
    assert views == dict.fromkeys(recorded, State.ACCEPTED)
    arrived = {order["id"]: order["times_applied"] for order in await far._in_thread(far._listed)}
    assert arrived == dict.fromkeys(recorded, 1)
    await far.stop()


def _misbehave(far: DemoMarketplace, random: Random) -> None:
    fault = random.choice(["lose", "double", "refuse", "none", "none"])
    if fault != "none":
        far._faults = far._faults.model_copy(update={fault: random.randrange(1, 3)})

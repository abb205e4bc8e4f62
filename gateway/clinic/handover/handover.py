"""Records go to the receiving side's FHIR server while the link carries, and its answers come back.

Three things run beside each other, each one at a time: records, the files behind them, and the asking for answers.
When the link is back all of them begin at once.
"""

import asyncio
from dataclasses import dataclass
from random import Random

from gateway.backhaul.dialer import Dialer
from gateway.backhaul.link import Backhaul
from gateway.clinic.handover.asking import Asking
from gateway.clinic.handover.files import Files
from gateway.clinic.handover.resting import HandoverLimits, Rest, wait_for_return
from gateway.clinic.handover.sending import Sending
from gateway.clinic.handover.server import FhirServer
from gateway.clinic.records.records import Records
from gateway.clinic.records.states import Handover as Way
from gateway.clock import Clock
from gateway.exchange.exchange import DeliveryLimits


@dataclass(frozen=True, slots=True)
class HandoverStatistics:
    """How the handing over stands; counts only."""

    waiting: int = 0  # records that are not there yet
    attention: int = 0  # records that a person must look at
    delivered: int = 0  # records, since the start
    files_waiting: int = 0
    files_sent: int = 0
    answers: int = 0  # that came back, since the start
    unreadable: int = 0  # answers that say nothing we can show
    failures_in_a_row: int = 0
    is_broken: bool = False  # the server failed so often that little is tried
    heard_wall_s: float | None = None  # when the server last answered


class Handover:
    """The one sender of records, and the one who asks for answers."""

    def __init__(
        self,
        records: Records,
        server: FhirServer,
        backhaul: Backhaul,
        clock: Clock,
        *,
        box_name: str,
        answers_s: float,
        random: Random,
        limits: HandoverLimits,
    ) -> None:
        self._records = records
        self._server = server
        self._backhaul = backhaul
        self._rests = tuple(Rest(clock, random, limits) for _ in range(3))
        sending, files, asking = self._rests
        self._files = Files(records, server, backhaul, clock, rest=files, limits=limits)
        self._sending = Sending(records, server, self._files, backhaul, box_name=box_name, rest=sending, limits=limits)
        self._asking = Asking(records, server, backhaul, clock, every_s=answers_s, rest=asking, limits=limits)

    async def run(self) -> None:
        """Send what waits and ask for answers, until cancelled."""
        await self._server.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch_link(), name="handover link")
                tasks.create_task(self._sending.run(), name="handover records")
                tasks.create_task(self._files.run(), name="handover files")
                tasks.create_task(self._asking.run(), name="handover answers")
        finally:
            await self._server.stop()

    def wake(self) -> None:
        """Look at once whether a record can be sent."""
        self._rests[0].wake()

    def send_now(self) -> None:
        """Send what waits, and ask for answers, at once."""
        for rest in self._rests:
            rest.wake()

    def statistics(self) -> HandoverStatistics:
        """Return how the handing over stands."""
        standing = self._records.statistics().handovers
        breaker = self._rests[0].breaker
        return HandoverStatistics(
            waiting=standing.get(Way.QUEUED, 0) + standing.get(Way.SENDING, 0),
            attention=standing.get(Way.ATTENTION, 0),
            delivered=self._sending.delivered + self._files.delivered,
            files_waiting=self._files.waiting,
            files_sent=self._files.sent,
            answers=self._asking.answers,
            unreadable=self._asking.unreadable,
            failures_in_a_row=breaker.failures,
            is_broken=breaker.is_open,
            heard_wall_s=self._server.heard_wall_s,
        )

    async def _watch_link(self) -> None:
        while True:
            await wait_for_return(self._backhaul)
            for rest in self._rests:
                rest.renew()


def handover(
    records: Records,
    *,
    base_url: str,
    token: str | None,
    dialer: Dialer,
    backhaul: Backhaul,
    clock: Clock,
    box_name: str,
    answers_s: float,
    random: Random,
    limits: HandoverLimits | None = None,
    delivery: DeliveryLimits | None = None,
) -> Handover:
    """Return what hands records over to a FHIR server; nothing is dialled before it runs."""
    server = FhirServer(
        base_url,
        token=token,
        dialer=dialer,
        backhaul=backhaul,
        clock=clock,
        box_name=box_name,
        limits=delivery or DeliveryLimits(),
    )
    return Handover(
        records,
        server,
        backhaul,
        clock,
        box_name=box_name,
        answers_s=answers_s,
        random=random,
        limits=limits or HandoverLimits(),
    )

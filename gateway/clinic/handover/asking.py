"""Answers are asked for from time to time while some are awaited, and at once when the link is back.

What was read is kept under an id that follows from what it says, so that reading it again keeps nothing new. The next
look begins where the server's own clock stood at the last one that came to its end.
"""

from contextlib import suppress

import structlog

from gateway.backhaul.link import Backhaul
from gateway.clinic.fhir.answers import Reply
from gateway.clinic.handover.resting import HandoverLimits, Rest
from gateway.clinic.handover.server import SEARCHES, FhirServer
from gateway.clinic.records.entries import Writer
from gateway.clinic.records.records import Records
from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import Actor
from gateway.clock import Clock, clock_state
from gateway.errors import BadRequest, Conflict, GatewayError, NotAllowed, NotFound
from gateway.exchange.exchange import NotDelivered

FAR = Actor(Writer.FAR, "fhir")
AWAITING = (Stage.ASKED, Stage.ANSWERED, Stage.FINISHED)  # a doctor may have more to say
LONGEST_S = 40 * 86_400.0  # before the first look since the start: longer than records are kept by default
SEEN_MAX = 4_096
_log = structlog.get_logger("clinic.handover")


class Asking:
    """Asks the server for answers."""

    def __init__(
        self,
        records: Records,
        server: FhirServer,
        backhaul: Backhaul,
        clock: Clock,
        *,
        every_s: float,
        rest: Rest,
        limits: HandoverLimits,
    ) -> None:
        self._records = records
        self._server = server
        self._backhaul = backhaul
        self._clock = clock
        self._every_s = every_s
        self._rest = rest
        self._limits = limits
        self._since_wall_s: dict[int, float] = {}  # by search, by the server's clock
        self._seen: dict[str, None] = {}  # ids of entries, the oldest first
        self.answers = self.unreadable = 0

    async def run(self) -> None:
        """Ask from time to time, until cancelled."""
        while True:
            try:
                if not self._backhaul.is_down and self._is_awaiting():
                    await self._look()
                    self._rest.heard()
            except NotDelivered as exc:
                _log.info("answers.failed", reason=exc.reason)
                self._rest.failed(exc.retry_after_s)
            except Exception as exc:  # noqa: BLE001 - a fault of ours must not end the asking
                _log.error("answers.failed", reason=exc.code if isinstance(exc, GatewayError) else type(exc).__name__)
                self._rest.failed(None)
            await self._rest.wait(self._rest.left_s or self._every_s)
            while (left_s := self._rest.left_s) > 0.0:
                await self._rest.wait(left_s)

    def _is_awaiting(self) -> bool:
        stages = self._records.statistics().stages
        return any(stages.get(each, 0) for each in AWAITING)

    async def _look(self) -> None:
        """Keep all that is told now.

        Raises: NotDelivered.
        """
        for place in SEARCHES:
            began_wall_s: float | None = None
            next_url = ""
            for _ in range(self._limits.answers_at_once_max):
                told, wall_s = await self._server.answers(place, self._since(place), next_url)
                began_wall_s = began_wall_s or wall_s
                self.unreadable += told.unreadable
                for reply in told.replies:
                    await self._keep(reply)
                next_url = told.next_url
                if not next_url:
                    break
            if not next_url and began_wall_s is not None:
                self._since_wall_s[place] = began_wall_s

    def _since(self, place: int) -> float | None:
        """Return since when is asked; None where no clock says so."""
        if place in self._since_wall_s:
            return self._since_wall_s[place]
        wall_s = self._clock.wall_s()
        return wall_s - LONGEST_S if clock_state(wall_s) == "trusted" else None

    async def _keep(self, reply: Reply) -> None:
        """Keep an answer in its record, if that still is here, and say that it is answered."""
        if reply.entry.id in self._seen:
            return
        try:
            entry = await self._records.keep(reply.record, reply.entry, by=FAR)
        except (NotFound, Conflict, NotAllowed, BadRequest):
            self._note(reply.entry.id)
            return
        self._note(reply.entry.id)
        view = await self._records.view(reply.record, by=FAR)
        # one that was read before a newer question came answers nothing now
        if view is not None and view.stage is Stage.ASKED and entry.sequence >= view.entries:
            with suppress(Conflict, NotFound):
                await self._records.move(reply.record, Stage.ANSWERED, by=FAR)
        self.answers += 1

    def _note(self, entry_id: str) -> None:
        self._seen[entry_id] = None
        while len(self._seen) > SEEN_MAX:
            self._seen.pop(next(iter(self._seen)))

"""A record goes as one transaction, one record at a time; what is refused waits for a person and holds up nobody.

Sending twice changes nothing, so whatever is not known to have arrived goes again. A record that is refused, or that
makes the server fail, waits by itself while others go; a server that is silent or fails is left alone for a while.
"""

import asyncio
from collections import Counter

import structlog

from gateway.backhaul.link import Backhaul
from gateway.clinic.fhir.bundle import bundle
from gateway.clinic.fhir.checking import NotFhir, validate
from gateway.clinic.handover.files import Files
from gateway.clinic.handover.resting import HandoverLimits, Rest
from gateway.clinic.handover.server import FhirServer
from gateway.clinic.records.records import Records
from gateway.clinic.records.states import Handover
from gateway.clinic.records.views import HandoverItem, delivered, refused, retry
from gateway.errors import GatewayError
from gateway.exchange.exchange import NotDelivered

_log = structlog.get_logger("clinic.handover")


class Sending:
    """The one sender of records."""

    def __init__(
        self,
        records: Records,
        server: FhirServer,
        files_behind: Files,
        backhaul: Backhaul,
        *,
        box_name: str,
        rest: Rest,
        limits: HandoverLimits,
    ) -> None:
        self._records = records
        self._server = server
        self._files = files_behind
        self._backhaul = backhaul
        self._box_name = box_name
        self._rest = rest
        self._limits = limits
        self._refusals: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self.delivered = 0  # records without files

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        while True:
            try:
                await self._step()
            except Exception as exc:  # noqa: BLE001 - a fault of ours must not stop the records that come after it
                _log.error("record.failed", reason=exc.code if isinstance(exc, GatewayError) else type(exc).__name__)
                self._rest.failed(None)

    async def _step(self) -> None:
        """Send one record, or wait until there may be one."""
        if self._backhaul.is_down or (left_s := self._rest.left_s) > 0.0:
            await self._rest.wait(self._limits.look_s if self._backhaul.is_down else left_s)
            return
        if self._files.is_under_way and not self._records.statistics().handovers.get(Handover.QUEUED, 0):
            await self._rest.wait(self._limits.look_s)
            return
        item = await self._records.due()
        if item is None:
            await self._rest.wait(self._limits.look_s)
        elif (outcome := self._files.outcome(item)) is not None:
            await self._records.settle(item.record, outcome)
        elif self._files.is_following(item):  # the others go first; the records know one at a time
            self._files.park(item.record)
            await self._records.settle(item.record, retry(self._limits.park_s))
        else:
            await self._try(item)

    async def _try(self, item: HandoverItem) -> None:
        try:
            await self._send(item)
        except NotDelivered as exc:
            await self._not_delivered(item, exc)
        except NotFhir as exc:
            await self._records.settle(item.record, refused(exc.what))
        except GatewayError:
            raise
        except Exception as exc:  # noqa: BLE001 - a record that cannot be written must not block the others
            _log.error("record.unwritable", reason=type(exc).__name__)
            await self._records.settle(item.record, refused(NotFhir.what))

    async def _send(self, item: HandoverItem) -> None:
        document, entries = await asyncio.to_thread(_written, item, self._box_name)
        with self._files.held_back():
            reason = await self._server.transact(document, entries)
        self._rest.heard()
        if reason:
            await self._refused(item, reason)
            return
        self._forget(item.record)
        _log.info("record.sent", size_bytes=len(document), resources=entries)
        if not self._files.follow(item):
            await self._records.settle(item.record, delivered())
            self.delivered += 1

    async def _refused(self, item: HandoverItem, reason: str) -> None:
        self._refusals[item.record] += 1
        refusals, patience = self._refusals[item.record], self._limits.patience
        _log.info("record.refused", refusals=refusals)
        if refusals >= patience.refusals_max:
            self._forget(item.record)
            await self._records.settle(item.record, refused(reason))
        else:
            await self._records.settle(item.record, retry(patience.pause_s(refusals)))

    async def _not_delivered(self, item: HandoverItem, exc: NotDelivered) -> None:
        """Let a record go again: at once when nothing was heard, else after the others."""
        _log.info("record.not_sent", reason=exc.reason, failures=self._rest.breaker.failures + 1)
        self._rest.failed(exc.retry_after_s)
        pause_s = 0.0
        if not exc.is_silent:
            self._failures[item.record] += 1
            limits = self._limits
            pause_s = min(limits.retry_s_min * 2.0 ** min(self._failures[item.record], 16), limits.retry_s_max)
        await self._records.settle(item.record, retry(pause_s))

    def _forget(self, record: str) -> None:
        self._refusals.pop(record, None)
        self._failures.pop(record, None)


def _written(item: HandoverItem, box_name: str) -> tuple[bytes, int]:
    """Return a record as a transaction that was held against the standard, and how many entries it has.

    Raises: NotFhir.
    """
    document = bundle(item, item.entries, box_name)
    return document, validate(document)

"""After a failure the server is left alone: as long as it asked, or twice as long as the last time.

One rest belongs to one kind of request, so that photos that fail do not hold up records. A link that is back ends it.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.state import LinkState
from gateway.clock import Clock
from gateway.exchange.backoff import Breaker, Patience, pause_s


@dataclass(frozen=True, slots=True)
class HandoverLimits:
    """How often and how long something is tried."""

    retry_s_min: float = 2.0
    retry_s_max: float = 600.0
    look_s: float = 5.0  # between two looks whether something waits, besides being woken
    park_s: float = 15.0  # until a record whose files are under way is looked at again, while others wait
    patience: Patience = field(default_factory=lambda: Patience(refusals_max=4, pause_s_min=60.0))  # with a refused one
    answers_at_once_max: int = 100  # pages of one look


class Rest:
    """When the server may be asked again, and whether something happened meanwhile."""

    def __init__(self, clock: Clock, random: Random, limits: HandoverLimits) -> None:
        self._clock = clock
        self._random = random
        self._limits = limits
        self._woken = asyncio.Event()
        self._firm_until_s = self._until_s = 0.0
        self.breaker = Breaker()

    def wake(self) -> None:
        """Look again at once, unless the server asked for a pause."""
        self._until_s = self._firm_until_s
        self._woken.set()

    def renew(self) -> None:
        """Begin anew: the link is back, and what was before says nothing."""
        self.breaker = Breaker()
        self.wake()

    def heard(self) -> None:
        """Forget the failures: something worked."""
        self.breaker = Breaker()
        self._firm_until_s = self._until_s = 0.0

    def failed(self, asked_s: float | None) -> None:
        """Leave the server alone for a while."""
        self.breaker = self.breaker.failed()
        limits, now_s = self._limits, self._clock.now_s()
        own_s = pause_s(
            self.breaker.failures, self._random.random(), least_s=limits.retry_s_min, most_s=limits.retry_s_max
        )
        firm_s = min(limits.retry_s_min, own_s) if asked_s is None else min(max(asked_s, own_s), limits.retry_s_max)
        self._firm_until_s, self._until_s = now_s + firm_s, now_s + max(own_s, firm_s)

    @property
    def left_s(self) -> float:
        """How long the server is still left alone."""
        return max(self._until_s - self._clock.now_s(), 0.0)

    async def wait(self, most_s: float) -> None:
        """Return when woken, or after so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self._woken.wait()
        self._woken.clear()


async def wait_for_return(backhaul: Backhaul) -> None:
    """Return when the link was down and is so no more."""
    was_down = False
    async for status in backhaul.changes():
        is_down = status.state is LinkState.DOWN
        if was_down and not is_down:
            return
        was_down = is_down

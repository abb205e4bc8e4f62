"""A pacer lets bytes pass at a rate that may change while they wait, first come, first served.

A token bucket whose burst is a fifth of a second of the rate: enough to keep a link busy between two turns of the event
loop, too little to build a queue beside a call.
"""

import asyncio
from collections.abc import Callable

BURST_S = 0.2
BURST_BYTES_MIN = 3_000  # two full packets
WAIT_S_MAX = 0.1  # a waiting taker sees a new rate this soon


class Pacer:
    """Admits bytes at `rate_bps()`; None means without limit."""

    def __init__(
        self,
        rate_bps: Callable[[], int | None],
        now_s: Callable[[], float],
        *,
        burst_bytes_min: int = BURST_BYTES_MIN,
    ) -> None:
        self._rate_bps = rate_bps
        self._now_s = now_s
        self._burst_bytes_min = burst_bytes_min
        self._tokens_bytes = float(burst_bytes_min)
        self._filled_s: float | None = None
        self._turn = asyncio.Lock()

    @property
    def waits(self) -> bool:
        """Whether somebody waits."""
        return self._turn.locked()

    async def take(self, size_bytes: int) -> None:
        """Return when `size_bytes` more may pass."""
        async with self._turn:
            while (wait_s := self._wait_s(size_bytes)) > 0:  # noqa: ASYNC110 - what is waited for is time
                await asyncio.sleep(min(wait_s, WAIT_S_MAX))
            self._tokens_bytes -= size_bytes

    def _wait_s(self, size_bytes: int) -> float:
        rate_bps = self._rate_bps()
        now_s = self._now_s()
        if rate_bps is None:
            self._tokens_bytes = max(float(size_bytes), self._burst_bytes_min)
            self._filled_s = now_s
            return 0.0
        burst_bytes = max(rate_bps / 8 * BURST_S, self._burst_bytes_min)
        passed_s = 0.0 if self._filled_s is None else now_s - self._filled_s
        self._filled_s = now_s
        self._tokens_bytes = min(burst_bytes, self._tokens_bytes + passed_s * rate_bps / 8)
        # a piece larger than the burst goes when the bucket is full, and leaves a debt
        missing_bytes = min(size_bytes, burst_bytes) - self._tokens_bytes
        if missing_bytes < 1:  # a part of a byte is owed, not waited for: rounding would make that wait endless
            return 0.0
        return missing_bytes * 8 / rate_bps if rate_bps else WAIT_S_MAX

"""An event loop whose time is virtual: sockets are real, waiting is not.

When nothing is ready, time jumps to the next timer. What loopback delivers is ready as soon as it was sent, so hours of
a link's life pass in a moment and always the same way.
"""

import asyncio
import os
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")
_REAL_S_MAX = 5.0  # nothing waits for the real world longer than this


class _JumpingSelector(selectors.DefaultSelector):
    """Returns what is ready, else lets time pass."""

    now_s = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        os.sched_yield()
        ready = super().select(0 if timeout is not None else _REAL_S_MAX)
        if not ready:
            assert timeout is not None, "waits for what never comes"
            self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop and a `Clock` in one."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s

    def now_s(self) -> float:
        return self._jumping.now_s

    def wall_s(self) -> float:
        return 1_800_000_000.0 + self._jumping.now_s


class LoopClock:
    """The running loop's time."""

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def wall_s(self) -> float:
        return 1_800_000_000.0 + self.now_s()


def in_virtual_time(journey: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(journey)

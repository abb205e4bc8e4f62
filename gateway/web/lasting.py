"""A loop that the room lives by outlasts a fault of ours in it: the fault is told, and the loop begins anew."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

PAUSE_S = 10.0  # a fault that stays is one line in the log so often
_log = structlog.get_logger("web")


async def lasting(loop: Callable[[], Awaitable[None]], name: str) -> None:
    """Run a loop until it is cancelled, or ends by itself."""
    while True:
        try:
            await loop()
            return
        except Exception as exc:  # noqa: BLE001 - a fault in one of them must not end the box
            _log.error("loop.failed", loop=name, error=type(_first_of(exc)).__name__)
        await asyncio.sleep(PAUSE_S)


def _first_of(exc: Exception) -> Exception:
    return _first_of(exc.exceptions[0]) if isinstance(exc, ExceptionGroup) else exc

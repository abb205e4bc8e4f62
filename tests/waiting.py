"""Waiting for what has no event, with a deadline."""

import asyncio
from collections.abc import Callable


async def wait_until(holds: Callable[[], bool], deadline_s: float = 10.0) -> None:
    """Return once `holds()`; fail after the deadline."""
    async with asyncio.timeout(deadline_s):
        while not holds():
            await asyncio.sleep(0.01)

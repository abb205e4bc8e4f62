"""A journal in a folder of the test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.market.journal.journal import Journal, JournalLimits
from tests.clocks import HandClock
from tests.unit.market.orders import KEY

LIMITS = JournalLimits(ballast_bytes=100_000, free_bytes_min=0)


@pytest.fixture
async def journal(tmp_path: Path, clock: HandClock) -> AsyncIterator[Journal]:
    opened = Journal(tmp_path / "market", "SMT", KEY, clock, LIMITS)
    await opened.start()
    yield opened
    await opened.stop()

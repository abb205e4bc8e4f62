"""A fault of ours in a loop that the room lives by ends neither the loop nor the room."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from gateway.web.ahead.warm import Warming
from gateway.web.offline.kept_list import KeptList
from gateway.web.offline.kept_run import KeptRun
from gateway.web.room import WebRoom
from gateway.web.store.store import Store
from tests.conformance.web_world import reply, world
from tests.waiting import wait_until

SHORT = (
    "room.NOTES_S",
    "offline.kept_run.LOOK_S",
    "offline.kept_run.WRITE_PAUSE_S",
    "ahead.warm.LOOK_S",
    "lasting.PAUSE_S",
)


@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (WebRoom, "_write_log"),
        (WebRoom, "_cleared"),
        (Store, "by_site"),
        (KeptList, "sweep"),
        (KeptRun, "write"),
        (Warming, "_next"),
    ],
)
async def test_a_loop_of_the_room_begins_anew_after_a_fault(tmp_path: Path, owner: type, step: str) -> None:
    calls, real = [], getattr(owner, step)

    def fails_once(*given: Any, **named: Any) -> Any:
        calls.append(step)
        if len(calls) == 1:
            raise IndexError
        return real(*given, **named)

    with ExitStack() as stack:
        for name in SHORT:
            stack.enter_context(patch(f"gateway.web.{name}", 0.01))
        stack.enter_context(patch.object(owner, step, fails_once))
        async with world(tmp_path) as village:
            village.origin.on("/a", reply(b"a"))
            await village.cut()  # which the loop that watches the link is told of
            await wait_until(lambda: len(calls) >= 2)
            await village.mend()
            assert (await village.ask("/a")).body == b"a"

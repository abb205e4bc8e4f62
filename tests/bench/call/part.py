"""The call's benchmark: two real browsers, the box between them, an emulated link, and its peers in turn.

python -m tests.bench call                        rates, beside, three, cpu: 20 minutes
python -m tests.bench call outages traces         some groups: 15 minutes, and 2 hours
python -m tests.bench call rates seconds=15 only=250 size=320x240

`seconds` is how long a run is watched, `trace_seconds` on a trace, `size` and `fps` are the cameras'; `only` names
parts of runs' names, with commas: `only="8 s,address"`, `only=Tambo`.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from playwright.async_api import async_playwright

from tests.bench.call import place
from tests.bench.call.browsers import Camera
from tests.bench.call.cost import cpu
from tests.bench.call.options import Options
from tests.bench.call.outages import outages
from tests.bench.call.rates import beside, rates
from tests.bench.call.three import three
from tests.bench.call.traces import traces

Group = Callable[[Options], Awaitable[str]]
GROUPS: Mapping[str, Group] = {
    "rates": rates,
    "beside": beside,
    "traces": traces,
    "outages": outages,
    "three": three,
    "cpu": cpu,
}

SHORT = ("rates", "beside", "three", "cpu")


async def call(folder: Path, words: Sequence[str] = ()) -> str:
    """Print the table of each group as it is done, but for the last; return that."""
    groups = [each for each in words if "=" not in each]
    given = dict(each.split("=", 1) for each in words if "=" in each)
    unknown = [each for each in groups if each not in GROUPS]
    if unknown:
        return f"The call: there is no {', '.join(unknown)}; there are {', '.join(GROUPS)}."
    gone = place.missing()
    if gone:
        return f"The call: not measured, {gone}"
    stop = asyncio.current_task()
    assert stop is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.cancel)
    told = ""
    async with async_playwright() as playwright:
        width, _, height = given.get("size", "640x480").partition("x")
        options = Options(
            playwright,
            folder,
            seconds=float(given.get("seconds", 25)),
            trace_seconds=float(given.get("trace_seconds", 300)),
            only=tuple(filter(None, given.get("only", "").split(","))),
            camera=Camera(0, int(width), int(height), int(given.get("fps", 20))),
        )
        for name in groups or SHORT:
            if told:
                print(told, end="\n\n", flush=True)
            told = await GROUPS[name](options)
    return told

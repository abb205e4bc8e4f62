"""A call over a link that goes away for a while, or whose address changes: when voice and picture are back, and what
the pages said meanwhile.

The new address is the modem's after it registered anew. The doctor's page finds the box by a relay on its own side that
asks anew for each connection, as a name that follows does; what was connected breaks, as it does then.
"""

from dataclasses import replace

from tests.bench.call import cells
from tests.bench.call.cells import NONE
from tests.bench.call.contenders import CONTENDERS, NURSE, Call, Contender, Tambo
from tests.bench.call.options import Options
from tests.bench.call.place import BOX_FAR, FAR, Place
from tests.bench.call.relay import DOOR, relayed, repoint
from tests.bench.call.run import Run, Told, now_ms
from tests.bench.call.seen import Window, picture_back_ms, voice_back_ms
from tests.bench.link.emulator import DEVICE, Capacity, Conditions
from tests.bench.machine import table

LENGTHS_S = (2, 8, 20, 45, 120)
BEFORE_S = 3.0
AFTER_S = {2: 12, 8: 15, 20: 20, 45: 25, 120: 30}
ADDRESS_S = 45.0
MBIT = 1.0
NEW_ADDRESS = "10.77.0.9"
PEERS_UP_TO_S = 45  # a peer that is not back by then is not waited for longer
NOTE = (
    "1 Mbit/s and 25 ms each way. The link is gone both ways and what is sent meanwhile waits in its queue of 500 ms. "
    "Back after: seconds from the moment the link is there again (for a new address: from the change) until a second "
    "of voice is whole, and until the picture moves without a gap of a second. Pages' words: seconds from the cut."
)


async def outages(options: Options) -> str:
    """Return the table."""
    rows = []
    for for_s in LENGTHS_S:
        wanted = CONTENDERS if for_s <= PEERS_UP_TO_S else CONTENDERS[:1]
        asked = [each for each in wanted if options.wants(f"{for_s} s", each.name)]
        rows += [options.done(await _cut(options, each, for_s)) for each in asked]
    if options.wants("address", Tambo().name):
        rows.append(options.done(await _moved(options)))
    head = ["what happens", "", "nurse: voice, picture back after s", "doctor: voice, picture", "made-up sound %"]
    return f"{table('A call and its outages', [*head, 'load', 'what the pages said'], rows)}\n\n{NOTE}"


async def _cut(options: Options, contender: Contender, for_s: int) -> list[str]:
    async def cut(place: Place, call: Call) -> None:
        del call
        await place.link.tell("outage", str(for_s))

    seconds = BEFORE_S + for_s + AFTER_S[for_s]
    run = Run(contender, _wide(), seconds, options.camera, events=((BEFORE_S, cut),))
    return _row(f"nothing for {for_s} s", contender, await options.told(f"{for_s} s of nothing", run), for_s)


async def _moved(options: Options) -> list[str]:
    async def change(place: Place, call: Call) -> None:
        del call
        await place.told(place.box, "ip", "addr", "del", BOX_FAR, "peer", FAR, "dev", DEVICE)
        await place.told(place.box, "ip", "addr", "add", NEW_ADDRESS, "peer", FAR, "dev", DEVICE)
        await place.told(place.box, "ip", "route", "replace", "default", "dev", DEVICE)
        repoint(place, NEW_ADDRESS)

    contender = Tambo(doctor_door=DOOR)
    run = Run(contender, _wide(), BEFORE_S + ADDRESS_S, options.camera, events=((BEFORE_S, change),), load=relayed)
    return _row("a new address of the box", contender, await options.told("a new address", run), 0.0)


def _wide() -> Conditions:
    return Conditions(Capacity(MBIT), Capacity(MBIT), queue="500ms")


def _row(label: str, contender: Contender, told: Told | str, for_s: float) -> list[str]:
    if isinstance(told, str):
        return [label, contender.name, told, *[NONE] * 4]
    event_ms = told.marks_ms[0]
    back = {}
    for role, page in told.pages.items():
        from_ms = event_ms + for_s * 1000
        back[role] = f"{cells.seconds(voice_back_ms(page, from_ms))}, {cells.seconds(picture_back_ms(page, from_ms))}"
    nurse = back.pop(NURSE)
    whole = replace(told, window=Window(event_ms, now_ms()))
    concealed = [cells.percent(each.concealed_ratio) for each in cells.ends(told).values()]
    return [
        label,
        contender.name,
        nurse,
        "; ".join(back.values()),
        "; ".join(concealed),
        f"{told.load:.1f}",
        cells.words(whole),
    ]

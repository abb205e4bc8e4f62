"""Whether nothing comes in although something should, seen at the interface's counter. Pure.

One connection that is silent may be its server's doing; that nothing at all comes while bytes are expected may be the
link's. A few bytes do not count: a modem whose radio is cut still answers ARP and sends ICMP errors and advertisements
(RFC 826, RFC 792, RFC 4861). A silence that turned out to be none (a probe was answered) makes the next one wait longer
before it is told, so that an uplink-only use does not cost a probe every second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.backhaul.sensing.samples import FlowSample

SILENT_AFTER_S = 1.0  # then it is asked; an unanswered probe has 0.7 s more until the link is down (`state`)
HEARD_BYTES_MIN = 400  # more than six ICMP errors of 56 bytes to a wave of probes; a voice brings that in 0.3 s
AGAIN_AFTER_S = 1.0  # between two silences that are told, doubled each time up to the most
AGAIN_AFTER_S_MAX = 15.0
LATELY_S = 3.0  # a download that has moved so lately is under way: RFC 6298's first timeouts are within that
CALM_S = 60.0  # so long without a silence, and the next is told at once again


@dataclass(frozen=True, slots=True)
class Hearing:
    """What the counter has shown so far."""

    down_bytes: int | None = None  # the counter when bytes last came in earnest
    heard_s: float = float("-inf")
    expected_s: float | None = None  # since when bytes are expected without a break
    told_s: float = float("-inf")
    again_after_s: float = AGAIN_AFTER_S


@dataclass(frozen=True, slots=True)
class Lately:
    """How much each flow had received, and when that last grew."""

    flows: Mapping[int, tuple[int, float]] = field(default_factory=dict)


def look(before: Lately, samples: Sequence[FlowSample]) -> Lately:
    """Return what is known of the flows after a look at those that are open now."""
    found = {}
    for sample in samples:
        received_bytes, grew_s = before.flows.get(sample.flow, (0, float("-inf")))
        grew = sample.received_bytes > received_bytes
        found[sample.flow] = (sample.received_bytes, sample.at_s if grew else grew_s)
    return Lately(found)


def is_expected(lately: Lately, samples: Sequence[FlowSample], now_s: float) -> bool:
    """Say whether something should come in now: an acknowledgement, or more of what came a moment ago."""
    unacknowledged = any(sample.unsent_bytes for sample in samples)
    return unacknowledged or any(now_s - grew_s <= LATELY_S for _, grew_s in lately.flows.values())


def hear(before: Hearing, *, down_bytes: int, expected: bool, now_s: float) -> Hearing:
    """Return what is known after a look at the counter; one that went backwards began anew."""
    expected_s = (now_s if before.expected_s is None else before.expected_s) if expected else None
    came = before.down_bytes is None or not 0 <= down_bytes - before.down_bytes < HEARD_BYTES_MIN
    if not came:
        return replace(before, expected_s=expected_s)
    return replace(before, down_bytes=down_bytes, heard_s=now_s, expected_s=expected_s)


def silent_since_s(hearing: Hearing, now_s: float) -> float | None:
    """Return since when nothing has come that should have, once that is worth asking about."""
    if hearing.expected_s is None:
        return None
    since_s = max(hearing.heard_s, hearing.expected_s)
    due = now_s - since_s >= SILENT_AFTER_S and now_s - hearing.told_s >= hearing.again_after_s
    return since_s if due else None


def told(hearing: Hearing, now_s: float) -> Hearing:
    """Return what is known after a silence was told."""
    calm = now_s - hearing.told_s >= CALM_S
    wait_s = AGAIN_AFTER_S if calm else min(2 * hearing.again_after_s, AGAIN_AFTER_S_MAX)
    return replace(hearing, told_s=now_s, again_after_s=wait_s)


def proven(hearing: Hearing) -> Hearing:
    """Return what is known after a silence was the link's, long or short: the next is told at once."""
    return replace(hearing, told_s=float("-inf"), again_after_s=AGAIN_AFTER_S)

"""Who matters now: whoever speaks, told from how loud their voices are, without jumping at every cough. Pure.

Somebody new must be the loudest for a second, or louder than whoever has the floor by a margin for 300 ms. In silence
the floor stays where it is. What a person pinned is theirs alone and wins over the floor; that is for who looks on.

Source: RFC 6464 (levels, smoothed where the packets pass); Volfin and Cohen, "Dominant speaker
identification for multipoint videoconferencing" (2013): a short, a middle and a long look at each voice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.clinic.invitation import Role

SPEAKS_LEVEL = 0.4  # -60 dBov smoothed over half a second: below it a room's own noise
HOLDS_S = 1.0
LOUDER_BY = 0.15  # 11 dB
LOUDER_S = 0.3


@dataclass(frozen=True, slots=True)
class Focus:
    """Who has the floor, and who may get it next."""

    role: Role | None = None
    next: Role | None = None
    since_s: float = 0.0
    """When `next` began to be the loudest."""
    louder_since_s: float | None = None
    """When they began to be louder by the margin, if they are."""


def follow(focus: Focus, levels: Mapping[Role, float], now_s: float) -> Focus:
    """Return who has the floor now; `levels` (0 to 1) are of those who are in and not muted.

    >>> follow(Focus(), {"doctor": 0.6}, 1.0).role
    'doctor'
    """
    held = focus.role if focus.role in levels else None
    loudest = max(levels, key=lambda role: (levels[role], role == held), default=None)
    if loudest is None or levels[loudest] < SPEAKS_LEVEL or loudest == held:
        return Focus(held)
    if held is None:
        return Focus(loudest)
    since_s = focus.since_s if focus.next == loudest else now_s
    by_far = levels[loudest] >= levels[held] + LOUDER_BY
    before_s = focus.louder_since_s if focus.next == loudest else None
    louder_since_s = (now_s if before_s is None else before_s) if by_far else None
    at_once = louder_since_s is not None and now_s - louder_since_s >= LOUDER_S
    if at_once or now_s - since_s >= HOLDS_S:
        return Focus(loudest)
    return replace(focus, role=held, next=loudest, since_s=since_s, louder_since_s=louder_since_s)

"""What of a picture is missing, is asked for again while it can still come, and by a keyframe when it cannot. Pure.

A packet is asked for at once, and again when its answer is overdue, three times in all. What then has not come is lost
for good: the picture stands still until a keyframe, so one is asked for without waiting for a browser to notice.
Keyframes cost as much as half a second of picture: asks are merged. The first of a switch, or of somebody who joins,
goes out at once, unless one is on its way.

Source: RFC 4585 §6.2.1 (NACK), §6.3.1 (PLI).
"""

from gateway.clinic.media.streams import Allowance

GAP_MAX = 64  # packets missed at once that are asked for; over it, only a new keyframe helps
MISSING_MAX = 128  # that are waited for
ASKS_MAX = 3
ASKED_PER_S_MAX = 200  # packets, over all requests; saved up for half a second that is more than one gap
NACKS_PER_S_MAX = 20
OVERDUE_RTT = 1.5
OVERDUE_S_MIN = 0.03  # a browser sends what it is asked for in the next turn of its pacer
OVERDUE_S_MAX = 0.5
KEYFRAME_PAUSE_S = 0.5
KEYFRAME_PAUSE_S_MAX = 3.0
KEYFRAME_BITS = 60_000  # of 320×240, with what is resent of it (2026-11)
KEYFRAME_PAUSE_S_MIN = 0.1  # even for those who have nothing to show yet


class Missing:
    """The packets of one picture that did not come."""

    def __init__(self) -> None:
        self._asked: dict[int, tuple[int, float]] = {}  # number: how often, and when it is due again
        self._nacks = Allowance(NACKS_PER_S_MAX, burst_s=0.5)
        self._packets = Allowance(ASKED_PER_S_MAX, burst_s=0.5)
        self._due_s = float("inf")

    def __bool__(self) -> bool:
        return bool(self._asked)

    def skipped(self, before: int, count: int) -> bool:
        """Wait for the `count` numbers before this one; False when they are too many, and none is waited for."""
        if count > GAP_MAX or len(self._asked) + count > MISSING_MAX:
            self.forget()
            return False
        for number in range(before - count, before):
            self._asked[number] = (0, float("-inf"))
        self._due_s = float("-inf")
        return True

    def came(self, number: int) -> None:
        """This one is there."""
        self._asked.pop(number, None)

    def forget(self, before: int | None = None) -> None:
        """Wait no more for what is older: a keyframe needs nothing before it."""
        if before is None:
            self._asked.clear()
            return
        for number in [each for each in self._asked if each < before]:
            del self._asked[number]

    def overdue(self, now_s: float, round_trip_s: float) -> tuple[list[int], bool]:
        """Return the numbers to ask for now, in order, and whether one was lost for good: then none is waited for."""
        if not self._asked or now_s < self._due_s:
            return [], False
        due = sorted(number for number, (_, due_s) in self._asked.items() if due_s <= now_s)[:GAP_MAX]
        if any(self._asked[number][0] >= ASKS_MAX for number in due):
            self.forget()
            return [], True
        if due and not (self._packets.take(len(due), now_s) and self._nacks.take(1, now_s)):
            self._due_s = now_s + OVERDUE_S_MIN
            return [], False
        again_s = now_s + min(max(OVERDUE_RTT * round_trip_s, OVERDUE_S_MIN), OVERDUE_S_MAX)
        for number in due:
            self._asked[number] = (self._asked[number][0] + 1, again_s)
        self._due_s = min(due_s for _, due_s in self._asked.values())
        return due, False


class KeyframeRequests:
    """Asks for keyframes of one picture, merged."""

    def __init__(self) -> None:
        self._wanted = self._hurry = False
        self._asked_s = float("-inf")
        self._is_coming = False
        self._pause_s = KEYFRAME_PAUSE_S

    def hold_to(self, picture_bps: int) -> None:
        """Wait from now on as long as a keyframe takes at this rate: another one behind it only makes both late."""
        self._pause_s = min(max(KEYFRAME_BITS / max(picture_bps, 1), KEYFRAME_PAUSE_S), KEYFRAME_PAUSE_S_MAX)

    def want(self, *, at_once: bool = False) -> None:
        """Somebody needs a keyframe; `at_once`: somebody who has nothing to show yet."""
        self._wanted = True
        self._hurry = self._hurry or at_once

    def came(self) -> None:
        """A keyframe has begun: what was wanted is served."""
        self._wanted = self._hurry = self._is_coming = False

    def due(self, now_s: float) -> bool:
        """Whether to ask the source now; it then counts as asked."""
        in_hurry = self._hurry and not self._is_coming
        if not self._wanted or now_s - self._asked_s < (KEYFRAME_PAUSE_S_MIN if in_hurry else self._pause_s):
            return False
        self._wanted = self._hurry = False
        self._is_coming = True
        self._asked_s = now_s
        return True

"""What a consultation has of the link: a realtime share while its call crosses it, and the account of what crossed."""

from collections.abc import Iterable
from contextlib import ExitStack

from gateway.backhaul.link import Backhaul, Share
from gateway.backhaul.sensing.samples import Way
from gateway.backhaul.sharing.admission import VOICE_NEEDS_BPS
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.shares import Capacity
from gateway.clinic.place import NEVER_S, Place
from gateway.clinic.sharing_out import Budgets, voices_need
from gateway.clock import Clock
from gateway.errors import NoCapacity

SLACK_RATIO = 0.8  # of a link without a picture, for voices and stills: what is measured may be less tomorrow
KEEPS_S = 120.0  # a call that broke off is no new one for so long
VOICE_FIRST_S = 6.0  # of a new call that nothing promised a picture: as long as a budget takes to rise unwatched


class Claim:
    """One consultation's claim on the link."""

    def __init__(self, clock: Clock, backhaul: Backhaul, video_bps_max: int) -> None:
        self._clock = clock
        self._backhaul = backhaul
        self._video_bps_max = video_bps_max
        self._held = ExitStack()
        self._share: Share | None = None
        self._voice_until_s = NEVER_S

    def budgets(self) -> Budgets:
        """Return what the call may use; in its first seconds its voice alone, where nothing promised a picture."""
        budget = self._backhaul.call_budget()
        if self._clock.now_s() < self._voice_until_s:
            up_bps, down_bps = (min(each, VOICE_NEEDS_BPS) for each in (budget.up_bps, budget.down_bps))
            return Budgets(up_bps, down_bps, self._video_bps_max)
        carries = self._backhaul.status().capacity or Capacity(0, 0)
        calls = max(self._backhaul.open_shares()[TrafficClass.REALTIME], 1)
        return Budgets(
            budget.up_bps,
            budget.down_bps,
            self._video_bps_max,
            slack_up_bps=int(carries.up_bps * SLACK_RATIO) // calls,
            slack_down_bps=int(carries.down_bps * SLACK_RATIO) // calls,
            is_clear_up=self._backhaul.is_clear(Way.UP),
            is_clear_down=self._backhaul.is_clear(Way.DOWN),
        )

    def check_begins(self, parted_s: float) -> None:
        """Let a call begin that fits, one go on that broke off a moment ago, and any where none is under way.

        Raises: NoCapacity.
        """
        goes_on = self._share is not None or self._clock.now_s() - parted_s < KEEPS_S
        if goes_on or not self._backhaul.open_shares()[TrafficClass.REALTIME]:
            return
        admission = self._backhaul.admission()
        if not admission.fits:
            raise NoCapacity(admission.reason, admission.next_step)

    def hold(self, seated: Iterable[Place]) -> None:
        """Hold a share while two or more sit here and one of them is beyond the link."""
        places = list(seated)
        people, far = len(places), sum(each.far for each in places)
        if people < 2 or not far:
            self.count(places)
            self.let_go()
            return
        if self._share is None:
            if not any(each.came_back for each in places) and not self._backhaul.admission().fits:
                self._voice_until_s = self._clock.now_s() + VOICE_FIRST_S
            self._share = self._held.enter_context(self._backhaul.share(TrafficClass.REALTIME))
        up_bps, down_bps = voices_need(people, far)
        self._share.needs(down_bps=down_bps, up_bps=up_bps)

    def let_go(self) -> None:
        """Hold nothing any more."""
        self._share = None
        self._held.close()

    def count(self, seated: Iterable[Place]) -> None:
        """Put the bytes from beyond the link on its account: what comes from there is down, what goes there is up."""
        for place in seated:
            if not place.far or place.peer is None or self._share is None:
                continue
            received_bytes, sent_bytes = place.peer.figures.received_bytes, place.peer.figures.sent_bytes
            down_before, up_before = place.counted_bytes
            place.counted_bytes = received_bytes, sent_bytes
            self._share.moved(down_bytes=received_bytes - down_before, up_bytes=sent_bytes - up_before)
            if received_bytes > down_before:
                self._backhaul.heard()

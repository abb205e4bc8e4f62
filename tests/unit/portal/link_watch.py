"""A link that is watched: a real history, and figures that a test sets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.backhaul.account.history import History
from gateway.backhaul.account.history_cells import Crossed, Sample
from gateway.backhaul.link import Budget, LinkStatus
from gateway.backhaul.sensing.figures import Estimate, LinkFigures, WayFigures
from gateway.backhaul.sensing.state import LinkState
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.shares import Capacity
from gateway.backhaul.ways.modem_view import ModemView, Registration
from gateway.portal.view import Allowance, Crossing, LinkWatch, Saved, Sentence, TenantUse, WayOut
from tests.clocks import HandClock
from tests.unit.portal.test_admin import FakeBox

ALLOWANCE = Allowance(12_000_000_000, 40_000_000_000, 1_802_000_000.0)
MODEM = ModemView("wwan0", True, Registration.ROAMING, "4G", rsrp_dbm=-97.0, rsrq_db=-11.0, sinr_db=12.5)
SAVED = Saved(3_200_000_000, 4_800, "PEN")


@dataclass(frozen=True)
class FakeCrossing:
    down_bytes: int
    up_bytes: int
    local_bytes: int


@dataclass(frozen=True)
class FakeTenant:
    tenant: str
    crossing: FakeCrossing
    congested_minutes: int

    @property
    def link_bytes(self) -> Crossing:
        return self.crossing


def known(capacity_bps: float, queueing_s: float, loss: float, confidence: float = 0.9) -> WayFigures:
    values = (capacity_bps, 0.04, queueing_s, loss)
    return WayFigures(*(Estimate(value, confidence, 1.0) for value in values))


@dataclass
class FakeWatch:
    """A link's watch that writes down what it is told."""

    clock: HandClock = field(default_factory=HandClock)
    figured: LinkFigures = field(
        default_factory=lambda: LinkFigures(known(4e6, 0.0123, 0.0125), known(8e5, 0.2, 0.0, 0.4))
    )
    allowed: Allowance | None = ALLOWANCE
    saving: Saved | None = SAVED
    links: list[WayOut] = field(
        default_factory=lambda: [WayOut("", "wwan0", True, False, LinkState.UP, "progress", 5_000_000_000, MODEM)]
    )
    told: list[float] = field(default_factory=list)
    paused_s: float = 0.0

    def __post_init__(self) -> None:
        self.kept = History(self.clock)

    @property
    def history(self) -> History:
        return self.kept

    def figures(self) -> LinkFigures:
        return self.figured

    def calls(self) -> int:
        return 0

    def call_budget(self) -> Budget:
        return Budget(800_000, 300_000)

    def tenants(self) -> Sequence[TenantUse]:
        return [
            FakeTenant("Posta médica", FakeCrossing(5_000_000_000, 500_000_000, 2_000_000_000), 42),
            FakeTenant("Escuela", FakeCrossing(1_000_000_000, 100_000_000, 1_200_000_000), 3),
        ]

    def allowance(self) -> Allowance | None:
        return self.allowed

    def saved(self) -> Saved | None:
        return self.saving

    def ways(self) -> Sequence[WayOut]:
        return self.links

    def watches_modems(self) -> bool:
        return True

    def cannot(self) -> Sequence[Sentence]:
        return [Sentence("The table for %(what)s is missing.", {"what": "marks"})]

    def instruments(self) -> Mapping[str, object]:
        return {"shaper": None}

    def probes_bytes(self) -> int:
        return 12_345

    def bulk_paused_s(self) -> float:
        return self.paused_s

    def pause_bulk(self, seconds: float) -> None:
        self.told.append(seconds)
        self.paused_s = seconds

    def look(self, web_bytes: int = 100_000, state: LinkState = LinkState.UP) -> None:
        """Let a second pass, in which so many bytes of pages came."""
        self.clock.pass_s(1.0)
        moved = {
            TrafficClass.WEB: Crossed(web_bytes, web_bytes // 10),
            TrafficClass.REALTIME: Crossed(web_bytes // 2, web_bytes // 2),
        }
        self.kept.add(Sample(self.clock.now_s(), state, self.figured, moved))

    def live(self, seconds: int) -> None:
        """Let time pass on a link as they are: it swings, is cut, a call comes and goes."""
        for second in range(seconds):
            self.clock.pass_s(1.0)
            swing = 1 + 0.5 * math.sin(second / 240) + 0.15 * math.sin(second / 7)
            is_cut = second % 2_400 in range(900, 990)
            call = 62_000 if second % 1_800 < 700 else 0
            web = int(190_000 * max(math.sin(second / 130), 0.02) * swing)
            bulk = int(60_000 * swing) if second % 1_500 > 1_000 else 0
            queue = 0.004 * math.exp(2.4 * max(math.sin(second / 97), -0.5)) * swing
            figures = LinkFigures(
                known(4e6 * swing, queue, 0.004 * max(math.sin(second / 50) - 0.6, 0)),
                known(1.1e6 * swing, queue * 3, 0.0),
            )
            moved = {
                TrafficClass.REALTIME: Crossed(call, call),
                TrafficClass.INTERACTIVE: Crossed(2_500, 9_000 if second % 600 < 120 else 600),
                TrafficClass.WEB: Crossed(web, web // 12),
                TrafficClass.BULK: Crossed(bulk, bulk // 20),
            }
            state = LinkState.DOWN if is_cut else LinkState.UP
            self.kept.add(Sample(self.clock.now_s(), state, figures, {} if is_cut else moved))


@dataclass
class WatchedBox(FakeBox):
    """A box whose link is watched."""

    watching: FakeWatch | None = field(default_factory=FakeWatch)
    state: LinkState = LinkState.UP

    def link(self) -> LinkStatus:
        return LinkStatus(self.state, "progress", 1.0, Capacity(8_000_000, 800_000))

    def watch(self) -> LinkWatch | None:
        return self.watching

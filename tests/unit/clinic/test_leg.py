"""Up to three others reach one browser: at keyframes, in step, repaired, and each in the words its browser knows."""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.backhaul.sensing.samples import DelaySample, Sees, Way
from gateway.clinic.media.headers import HEADER, extension, payload_start
from gateway.clinic.media.leg import HEARD_PER_S_MAX, Leg
from gateway.clinic.media.rtcp import (
    BitrateEstimated,
    Feedback,
    KeyframeWanted,
    PacketsMissed,
    ReceiverReported,
    SenderReported,
    read_rtcp,
)
from gateway.clinic.media.sdp import read_offer, ssrc_of
from gateway.clinic.media.slot import ASKS_PER_S_MAX, OLD_PICTURE_S
from gateway.clinic.media.source import OVER_CAP, OVER_CAP_BYTES
from gateway.clinic.media.streams import NTP_HZ
from tests.clocks import HandClock

CHROMIUM = Path(__file__).with_name("chromium_offer.sdp").read_bytes().decode()
KEY, DELTA = b"\x10\x00key", b"\x10\x01delta"
OPUS, RED, VP8, RTX = 111, 63, 96, 97


def offer_of(pairs: int = 1, text: str = CHROMIUM) -> str:
    own = text[text.index("m=audio") :]
    more = [
        own.replace("a=mid:0", f"a=mid:{2 * pair}").replace("a=mid:1", f"a=mid:{2 * pair + 1}")
        for pair in range(1, pairs)
    ]
    mids = " ".join(map(str, range(2 * pairs)))
    return text.replace("BUNDLE 0 1", f"BUNDLE {mids}") + "".join(each.replace("sendrecv", "recvonly") for each in more)


class FakeWire:
    """What a leg sends, and what comes to it, without keys and sockets."""

    def __init__(
        self, take_rtp: Callable[[bytes, float], None], take_feedback: Callable[[Feedback, float], None]
    ) -> None:
        self.take_rtp = take_rtp
        self.take_feedback = take_feedback
        self.is_open = True
        self.heard_s = 1_000.0
        self.received_bytes = self.sent_bytes = 0
        self.sent: list[bytes] = []
        self.again: list[bytes] = []
        self.told: list[Feedback] = []
        self.broken: list[Exception] = []
        self.asked_s: list[float] = []

    def send_rtp(self, packet: bytes, kind: str) -> bytes | None:
        assert kind in {"audio", "video"}
        self.sent.append(packet)
        return b"sealed" + packet

    def send(self, datagram: bytes) -> bool:
        self.again.append(datagram)
        return True

    def send_rtcp(self, compound: bytes) -> None:
        self.told += read_rtcp(compound)

    def broke(self, exc: Exception) -> None:
        self.broken.append(exc)

    def tell_round_trips(self, take: Callable[[float, float], None]) -> None:
        self.take_round_trip = take

    def ask(self, now_s: float) -> None:
        self.asked_s.append(now_s)


class Browser:
    """One leg, its wire, and what its browser does."""

    def __init__(
        self, clock: HandClock, number: int, *, ear: Any = None, offer: str = CHROMIUM, red: bool = False
    ) -> None:
        self.clock = clock
        self.number = number
        self.leg = Leg(
            read_offer(offer),
            codec="vp8",
            with_red=red,
            number=number,
            clock=clock,
            first_sequence=100 * number,
            open_wire=cast("Any", FakeWire),
            ear=ear,
        )
        self.wire = cast("FakeWire", self.leg.wire)
        self._sequence = {OPUS: 65_530, RED: 65_530, VP8: 65_530, RTX: 7}

    def say(self, payload: bytes, payload_type: int = VP8, *, level: int | None = None, lost: bool = False) -> None:
        """Send a packet, which may get lost."""
        kind = OPUS if payload_type == RED else payload_type
        self._sequence[kind] += 1
        self.put(self._sequence[kind], payload, payload_type, level=level, lost=lost)

    def put(
        self, sequence: int, payload: bytes, payload_type: int = VP8, *, level: int | None = None, lost: bool = False
    ) -> None:
        elements = extension([(1, bytes((level,)))]) if level is not None else b""
        timestamp = int(self.clock.now * 90_000) & 0xFFFFFFFF
        ssrc = 1_000 * self.number + (OPUS if payload_type == RED else payload_type)
        head = HEADER.pack(0x90 if elements else 0x80, payload_type, sequence & 0xFFFF, timestamp, ssrc)
        if not lost:
            self.wire.take_rtp(head + elements + payload, self.clock.now)

    def ask(self, feedback: Feedback) -> None:
        self.wire.take_feedback(feedback, self.clock.now)

    def heard(self, ssrc: int) -> list[bytes]:
        """Payloads of one of its streams, whose numbers must have no gap."""
        packets = [each for each in self.wire.sent if HEADER.unpack_from(each)[4] == ssrc]
        numbers = [HEADER.unpack_from(each)[2] for each in packets]
        assert numbers == [(numbers[0] + index) & 0xFFFF for index in range(len(numbers))]
        return [each[payload_start(each) :] for each in packets]

    def picture(self, slot: int = 0) -> list[bytes]:
        return self.heard(ssrc_of(slot, "video"))

    def voice(self, slot: int = 0) -> list[bytes]:
        return self.heard(ssrc_of(slot, "audio"))

    def told(self, kind: type[Feedback]) -> list[Feedback]:
        return [each for each in self.wire.told if isinstance(each, kind)]


def room(people: int, *, pairs: int = 1) -> tuple[HandClock, list[Browser]]:
    clock = HandClock()
    return clock, [Browser(clock, number, offer=offer_of(pairs)) for number in range(1, people + 1)]


def feed(browser: Browser, *slots: tuple[Browser | None, Browser | None]) -> None:
    browser.leg.feed([(voice.leg if voice else None, picture.leg if picture else None) for voice, picture in slots])


def keyframes(browser: Browser) -> int:
    return len(browser.told(KeyframeWanted))


def test_everybody_gets_the_others_each_in_a_slot() -> None:
    _, people = room(4, pairs=3)
    watcher, *others = people
    feed(watcher, *((each, each) for each in others))
    for each in others:
        each.say(f"voice {each.number}".encode(), OPUS)
        each.say(KEY + bytes((each.number,)))
    assert [watcher.voice(slot) for slot in range(3)] == [[b"voice 2"], [b"voice 3"], [b"voice 4"]]
    assert [watcher.picture(slot) for slot in range(3)] == [[KEY + bytes((number,))] for number in (2, 3, 4)]
    assert all(not each.wire.sent for each in others)


def test_who_joins_asks_for_a_keyframe_at_once_and_is_shown_from_it_on() -> None:
    clock, (watcher, sender) = room(2)
    sender.say(KEY)
    clock.pass_s(10)
    feed(watcher, (sender, sender))
    assert keyframes(sender) == 1
    sender.say(DELTA)
    assert watcher.wire.sent == []
    sender.say(KEY)
    sender.say(DELTA)
    assert watcher.picture() == [KEY, DELTA]


def test_a_keyframe_is_asked_for_when_the_watcher_s_connection_opens() -> None:
    clock, (watcher, sender) = room(2)
    watcher.wire.is_open = False
    sender.say(KEY)
    feed(watcher, (sender, sender))
    sender.say(KEY)
    watcher.leg.beat()
    assert (keyframes(sender), watcher.wire.sent) == (0, [])
    watcher.wire.is_open = True
    watcher.leg.beat()
    assert keyframes(sender) == 1
    for _ in range(100):
        clock.pass_s(0.02)
        watcher.leg.beat()
        sender.leg.beat()
    assert 4 <= keyframes(sender) <= 5, "and again each half second until it comes"


def test_a_switch_keeps_the_old_picture_until_the_new_keyframe_and_the_voice_changes_at_once() -> None:
    clock, (watcher, one, other) = room(3)
    other.say(DELTA)
    feed(watcher, (one, one))
    one.say(KEY)
    feed(watcher, (other, other))
    assert keyframes(other) == 1
    for sender in (other, one):
        sender.say(DELTA + bytes((sender.number,)))
        sender.say(b"voice%d" % sender.number, OPUS)
    assert watcher.picture() == [KEY, DELTA + b"\x02"]
    assert watcher.voice() == [b"voice3"]
    other.say(KEY + b"3")
    one.say(DELTA)
    assert watcher.picture()[2:] == [KEY + b"3"]
    clock.pass_s(1)


def test_somebody_turned_away_from_is_not_shown_for_ever() -> None:
    clock, (watcher, one, other) = room(3)
    feed(watcher, (one, one))
    one.say(KEY)
    feed(watcher, (other, other))
    clock.pass_s(OLD_PICTURE_S + 0.1)
    watcher.leg.beat()
    one.say(DELTA)
    assert watcher.picture() == [KEY]


def test_a_paused_picture_stops_at_once_and_comes_back_without_a_gap_in_its_numbers() -> None:
    _, (watcher, sender) = room(2)
    feed(watcher, (sender, sender))
    for payload in (KEY, DELTA):
        sender.say(payload)
    feed(watcher, (sender, None))
    for _ in range(30):
        sender.say(DELTA)
    sender.say(b"voice", OPUS)
    feed(watcher, (sender, sender))
    for payload in (DELTA, KEY, DELTA):
        sender.say(payload)
    assert watcher.picture() == [KEY, DELTA, KEY, DELTA]
    assert watcher.voice() == [b"voice"]


def test_who_leaves_is_gone_and_the_others_go_on() -> None:
    _, (watcher, one, other) = room(3, pairs=2)
    feed(watcher, (one, one), (other, other))
    feed(one, (watcher, watcher))
    one.leg.leave()
    for each in (one, other, watcher):
        each.say(KEY)
    assert len(watcher.wire.sent) == 1
    assert watcher.picture(1) == [KEY]
    assert one.wire.sent == []


def test_a_lost_packet_is_asked_for_and_its_rtx_finds_its_place() -> None:
    _, (watcher, sender) = room(2)
    feed(watcher, (sender, sender))
    sender.put(1, KEY)
    sender.put(3, DELTA + b"3")
    assert sender.told(PacketsMissed) == [PacketsMissed(2_000 + VP8, (2,))]
    sender.say(struct.pack("!H", 2) + DELTA + b"2", RTX)
    sender.say(struct.pack("!H", 2) + DELTA + b"2", RTX)
    found = {HEADER.unpack_from(each)[2]: each[payload_start(each) :] for each in watcher.wire.sent}
    assert found == {100: KEY, 101: DELTA + b"2", 102: DELTA + b"3"}
    assert len(watcher.wire.sent) == 3, "once"


def test_a_packet_that_never_comes_is_asked_for_three_times_and_then_a_keyframe_is() -> None:
    clock, (watcher, sender) = room(2)
    feed(watcher, (sender, sender))
    sender.put(1, KEY)
    sender.put(3, DELTA)
    for _ in range(60):
        clock.pass_s(0.02)
        sender.leg.beat()
    assert len(sender.told(PacketsMissed)) == 3
    assert keyframes(sender) == 1


def test_a_long_gap_is_a_keyframe_at_once() -> None:
    _, (watcher, sender) = room(2)
    feed(watcher, (sender, sender))
    sender.put(1, KEY)
    sender.put(100, DELTA)
    assert (len(sender.told(PacketsMissed)), keyframes(sender)) == (0, 1)


def test_what_a_browser_missed_goes_again_by_rtx_and_no_more_than_its_part_of_the_link() -> None:
    _, (watcher, sender) = room(2)
    feed(watcher, (sender, sender))
    watcher.leg.cap(500_000, 500_000)
    sender.say(KEY)
    sender.say(DELTA)
    watcher.ask(PacketsMissed(ssrc_of(0, "video"), (101, 101, 555)))
    again = watcher.wire.sent[2:]
    assert [HEADER.unpack_from(each)[4] for each in again] == [ssrc_of(0, "rtx")]
    assert again[0][payload_start(again[0]) :] == struct.pack("!H", 101) + DELTA
    watcher.leg.cap(500_000, 0)
    watcher.ask(PacketsMissed(ssrc_of(0, "video"), (100,)))
    assert len(watcher.wire.sent) == 3
    assert watcher.leg.figures().resent_packets == 1


def test_without_rtx_the_same_datagram_goes_again() -> None:
    clock = HandClock()
    watcher, sender = Browser(clock, 1, offer=CHROMIUM.replace("rtx/90000", "xyz/90000")), Browser(clock, 2)
    feed(watcher, (sender, sender))
    watcher.leg.cap(500_000, 500_000)
    sender.say(KEY)
    watcher.ask(PacketsMissed(ssrc_of(0, "video"), (100,)))
    assert watcher.wire.again == [b"sealed" + watcher.wire.sent[0]]


def test_watchers_asks_are_merged_into_one_each_half_second() -> None:
    clock, (one, other, sender) = room(3)
    for each in (one, other):
        feed(each, (sender, sender))
    sender.say(KEY)
    clock.pass_s(5)
    before = keyframes(sender)
    for _ in range(49):
        clock.pass_s(0.02)
        for each in (one, other):
            each.ask(KeyframeWanted(ssrc_of(0, "video")))
        sender.leg.beat()
    assert keyframes(sender) - before == 2


def test_a_voice_sent_twice_is_sent_once_to_who_does_not_know_it() -> None:
    clock = HandClock()
    knows, plain, sender = Browser(clock, 1, red=True), Browser(clock, 2), Browser(clock, 3, red=True)
    for each in (knows, plain):
        feed(each, (sender, sender))
    doubled = struct.pack("!L", (0x80 | OPUS) << 24 | 960 << 10 | 6) + bytes((OPUS,)) + b"before" + b"now"
    sender.say(doubled, RED)
    sender.say(b"plain", OPUS)
    sender.say(b"\xff" * 9, RED)
    assert plain.voice() == [b"now", b"plain"]
    assert knows.voice() == [doubled, b"plain"]
    assert [HEADER.unpack_from(each)[1] for each in knows.wire.sent] == [RED, OPUS]


def test_lips_stay_in_step_whatever_the_browser_s_clock_shows() -> None:
    clock, (watcher, one, other) = room(3)
    for each in (one, other):
        feed(watcher, (each, each))
        each.say(b"voice", OPUS)
        each.say(KEY)
        base = each.number * 7_777 * NTP_HZ
        each.ask(SenderReported(1_000 * each.number + OPUS, base, 48_000))
        each.ask(SenderReported(1_000 * each.number + VP8, base + NTP_HZ // 10, 90_000))
        clock.pass_s(3)
    reports = [each for each in watcher.told(SenderReported) if isinstance(each, SenderReported)]
    assert [each.ssrc for each in reports] == [ssrc_of(0, "audio"), ssrc_of(0, "video")] * 2
    assert [each.ntp - int(1_000 * NTP_HZ) for each in reports] == [
        0, NTP_HZ // 10, 3 * NTP_HZ, 3 * NTP_HZ + NTP_HZ // 10,
    ]  # fmt: skip


def test_a_new_source_s_clocks_are_told_with_the_next_beat() -> None:
    clock, (watcher, sender) = room(2)
    sender.say(b"voice", OPUS)
    sender.ask(SenderReported(2_000 + OPUS, 5 * NTP_HZ, 48_000))
    clock.pass_s(2)
    feed(watcher, (sender, None))
    sender.say(b"voice", OPUS)
    watcher.leg.beat()
    (report,) = watcher.told(SenderReported)
    assert isinstance(report, SenderReported)
    assert (report.ntp, report.timestamp) == (1_002 * NTP_HZ, 48_000 + 96_000)


def test_figures_say_how_it_goes() -> None:
    clock, (watcher, sender) = room(2)
    feed(watcher, (sender, sender))
    for _ in range(40):
        clock.pass_s(0.02)
        sender.say(b"voice", OPUS, level=20)
    sender.say(KEY)
    watcher.leg.beat()
    sender.ask(SenderReported(2_000 + VP8, 5 * NTP_HZ, 90_000))
    (report,) = (each for each in watcher.told(SenderReported) if isinstance(each, SenderReported))
    clock.pass_s(0.3)
    middle = (report.ntp >> 16) & 0xFFFFFFFF
    watcher.ask(ReceiverReported(report.ssrc, 64, 3, 101, middle, 65_536 // 10))
    watcher.ask(BitrateEstimated(250_000))
    found = watcher.leg.figures()
    assert (found.leg, found.forwarded_packets, found.fraction_lost, found.estimate_bps) == (1, 41, 0.25, 250_000)
    assert found.round_trip_s == pytest.approx(0.2, abs=0.001)
    assert not found.sends_picture
    spoken = sender.leg.figures()
    assert spoken.sends_picture
    assert 0.3 < spoken.voice_level < 0.9
    clock.pass_s(6)
    assert watcher.leg.figures().estimate_bps is None
    assert not sender.leg.figures().sends_picture


def test_a_cap_goes_at_once_and_again_and_reports_each_second() -> None:
    clock, (browser,) = room(1)
    browser.say(b"voice", OPUS)
    browser.leg.cap(300_000, 500_000)
    browser.leg.cap(300_000, 500_000)
    assert len(browser.told(BitrateEstimated)) == 1
    for _ in range(100):
        clock.pass_s(0.02)
        browser.leg.beat()
    assert 4 <= len(browser.told(BitrateEstimated)) <= 6
    assert len(browser.told(ReceiverReported)) == 2


class Ear:
    def __init__(self) -> None:
        self.samples: list[object] = []
        self.losses: list[tuple[Way, int, int]] = []

    def hear(self, samples: Sequence[object]) -> None:
        assert samples
        self.samples += samples

    def hear_loss(self, way: Way, expected: int, lost: int) -> None:
        self.losses.append((way, expected, lost))


def test_of_a_far_voice_losses_are_told_both_ways() -> None:
    clock, ear = HandClock(), Ear()
    far = Browser(clock, 1, ear=ear)
    for index in range(200):
        clock.pass_s(0.02)
        far.say(b"voice", OPUS, lost=index % 50 == 49)
        far.leg.beat()
    far.ask(ReceiverReported(ssrc_of(0, "audio"), 0, 2, 1_000, 0, 0))
    far.ask(ReceiverReported(ssrc_of(0, "audio"), 0, 5, 1_050, 0, 0))
    assert ear.losses[-1] == (Way.UP, 50, 3)
    assert {each[0] for each in ear.losses[:-1]} == {Way.DOWN}
    assert sum(each[2] for each in ear.losses[:-1]) >= 2


def test_a_browser_that_reports_all_the_time_tells_of_the_link_some_times_a_second() -> None:
    clock, ear = HandClock(), Ear()
    far = Browser(clock, 1, ear=ear)
    for index in range(2_000):
        far.ask(ReceiverReported(ssrc_of(0, "audio"), 0, index, index, 0, 0))
    assert len(ear.losses) <= HEARD_PER_S_MAX


@pytest.mark.parametrize(
    ("sent_bps", "most_asked", "least_asked"), [(20_000, 20, 19), (250_000, 50, 38), (2_000_000, 100, 60)]
)
def test_a_far_wire_is_asked_as_often_as_its_rate_allows(sent_bps: int, most_asked: int, least_asked: int) -> None:
    clock, ear = HandClock(), Ear()
    far = Browser(clock, 1, ear=ear)
    far.leg.cap(30_000, sent_bps)
    for _ in range(200):
        clock.pass_s(0.05)
        far.leg.beat()
    assert least_asked <= len(far.wire.asked_s) <= most_asked


def test_before_anything_crosses_the_empty_link_is_asked_ten_times_a_second() -> None:
    clock = HandClock()
    far = Browser(clock, 1, ear=Ear())
    far.wire.is_open = False
    for _ in range(100):
        clock.pass_s(0.05)
        far.leg.beat()
    assert 30 <= len(far.wire.asked_s) <= 51


def test_a_near_wire_is_not_asked() -> None:
    clock, (near,) = room(1)
    for _ in range(100):
        clock.pass_s(0.05)
        near.leg.beat()
    assert near.wire.asked_s == []


def test_an_answer_s_round_trip_is_told_as_one_of_both_ways() -> None:
    ear = Ear()
    far = Browser(HandClock(), 7, ear=ear)
    far.wire.take_round_trip(0.08, 12.0)
    assert ear.samples == [DelaySample(12.0, 0.08, "call:7:check", Sees.BOTH)]


def test_one_watcher_s_asks_do_not_cost_the_others_their_picture() -> None:
    clock, (watcher, sender) = room(2)
    feed(watcher, (sender, sender))
    sender.say(KEY)
    before = keyframes(sender)
    for _ in range(1_000):
        clock.pass_s(0.02)
        watcher.ask(KeyframeWanted(ssrc_of(0, "video")))
        sender.leg.beat()
    assert keyframes(sender) - before <= 4 + 20 * ASKS_PER_S_MAX + 1


def test_what_raises_in_one_s_slot_is_of_that_one_and_the_others_are_served() -> None:
    _, (broken, watcher, sender) = room(3)
    for each in (broken, watcher):
        feed(each, (sender, sender))
    cast("Any", broken.wire).send_rtp = None
    for payload, payload_type in ((KEY, VP8), (b"voice", OPUS)):
        sender.say(payload, payload_type)
    assert len(broken.wire.broken) == 2
    assert (sender.wire.broken, watcher.wire.broken) == ([], [])
    assert (watcher.picture(), watcher.voice()) == ([KEY], [b"voice"])


def test_a_picture_far_above_its_cap_is_left_out_until_a_keyframe_fits_and_the_voice_is_not() -> None:
    clock, (watcher, sender) = room(2)
    feed(watcher, (sender, sender))
    sender.leg.cap(100_000, 500_000)
    frame = DELTA + bytes(1_000)
    sender.say(KEY)
    for _ in range(1_000):  # 2 Mbit/s for four seconds
        clock.pass_s(0.004)
        sender.say(frame)
        sender.say(b"voice", OPUS)
    passed = sum(map(len, watcher.picture()))
    assert passed <= OVER_CAP_BYTES + 4 * OVER_CAP * 100_000 / 8
    assert len(watcher.voice()) == 1_000
    clock.pass_s(5)
    sender.say(frame)
    assert sum(map(len, watcher.picture())) == passed
    sender.say(KEY)
    sender.say(frame)
    assert watcher.picture()[-2:] == [KEY, frame]


def test_a_picture_a_little_above_a_cap_that_fell_goes_on() -> None:
    clock, (watcher, sender) = room(2)
    feed(watcher, (sender, sender))
    sender.leg.cap(700_000, 900_000)
    sender.say(KEY)
    sender.leg.cap(150_000, 300_000)
    frame = DELTA + bytes(1_000)
    for rate_bps, seconds in ((450_000, 1), (210_000, 20)):  # as Chromium does
        for _ in range(rate_bps * seconds // 8_000):
            clock.pass_s(8_000 / rate_bps)
            sender.say(frame)
    assert len(watcher.picture()) == 1 + 56 + 525

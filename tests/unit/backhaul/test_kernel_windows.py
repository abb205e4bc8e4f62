"""The windows of routed flows: how much each may have under way, and what the kernel is told of it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.backhaul.shaping.kernel import rules, talk, windows, windows_wire, wire
from gateway.backhaul.shaping.kernel.plan import Queueing
from gateway.backhaul.shaping.kernel.windows import PACKET_BYTES, PARTS, SCALES, SEGMENT_BYTES, Window, window_for

sizes = some.integers(0, 1 << 30)
flows = some.integers(0, 300)


def mean_of(window: Window) -> float:
    return window.segments + window.more / PARTS


@given(sizes, flows)
def test_all_flows_together_have_no_more_under_way_than_the_window_or_one_segment_each(size: int, many: int) -> None:
    window = window_for(size, many)
    assert 0 <= window.more < PARTS
    assert mean_of(window) * max(many, 1) * PACKET_BYTES <= max(size, max(many, 1) * PACKET_BYTES)


@given(sizes, sizes, flows)
def test_a_greater_window_is_never_less_for_each(one: int, other: int, many: int) -> None:
    less, more = sorted((one, other))
    assert mean_of(window_for(less, many)) <= mean_of(window_for(more, many))


@given(some.integers(1, 100_000), some.sampled_from(SCALES))
def test_the_field_holds_whole_segments_of_any_scale(segments: int, scale: int) -> None:
    field = windows.field_of(segments, scale)
    assert 1 <= field <= windows.FIELD_MAX
    assert field == windows.FIELD_MAX or segments * SEGMENT_BYTES <= field << scale < segments * SEGMENT_BYTES + (
        1 << scale
    )


def test_each_scale_has_its_chain_emptied_and_filled_in_one_step() -> None:
    told = list(wire.answers(b"".join(windows_wire.moves(Window(2, 8)))))
    assert len(told) == sum(3 if windows.field_of(2, each) < windows.field_of(3, each) else 2 for each in SCALES)
    assert len(windows_wire.moves(None)) == len(SCALES)
    begun, done = wire.answers(windows_wire.begun() + windows_wire.done())
    assert (begun[0], done[0]) == (16, 17)


def test_a_whole_number_of_segments_needs_one_rule() -> None:
    assert len(windows_wire.moves(Window(2, 0))) == 2 * len(SCALES)


@given(some.binary(max_size=200))
def test_no_list_of_flows_of_any_shape_breaks_the_counting(content: bytes) -> None:
    assert 0 <= windows_wire.elements_in(content) <= len(content)


def test_flows_are_counted_from_what_the_kernel_lists() -> None:
    element = wire.attribute(1, wire.attribute(1, struct.pack(">HH", 443, 50_000)))
    assert windows_wire.elements_in(bytes(4) + wire.attribute(3, element * 3)) == 3


@pytest.mark.parametrize("queueing", list(Queueing))
def test_only_what_passes_the_box_is_touched_and_calls_and_orders_are_not(queueing: Queueing) -> None:
    text = rules.ruleset("wwan0", queueing, 64, windows=True)
    chain = text[text.index("chain windows {") :]
    assert "hook forward" in chain
    assert "46" in chain[: chain.index("return", chain.index("ip dscp"))]
    assert all(f"chain {rules.chain_of(scale)} {{ }}" in text for scale in SCALES)
    assert "scale4" not in rules.ruleset("wwan0", queueing, 64, windows=False)


@pytest.mark.parametrize("said", [b"-1", b"1.5", b"99999999999", b'"many"'])
def test_a_window_that_is_none_is_refused(said: bytes) -> None:
    with pytest.raises(talk.Misspoken):
        talk.order_of(b'{"rates": {"down_bps": 1, "up_bps": 1, "window_bytes": ' + said + b"}}")

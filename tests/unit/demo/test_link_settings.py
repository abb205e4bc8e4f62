"""A change of the link is taken whole or refused with a sentence that repeats nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.sharing.shares import Capacity
from gateway.demo.link import LinkChange, LinkSettings, parse_change
from gateway.demo.link_settings import BPS_MAX, OUTAGE_S_MAX
from gateway.demo.trace import Trace
from gateway.errors import BadRequest

TRACES = {"small": (Trace((1, 1_000)), Trace((1_000,)))}
MARK = "zq9secret"


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        "outage_s",
        {MARK: 1},
        {"down_bps": "1000000"},
        {"down_bps": 999},
        {"down_bps": BPS_MAX + 1},
        {"down_bps": 1e6},
        {"down_bps": True},
        {"up_bps": -1},
        {"up_bps": None},
        {"delay_s": -0.01},
        {"delay_s": 11},
        {"delay_s": float("nan")},
        {"delay_s": float("inf")},
        {"delay_s": False},
        {"delay_s": [MARK]},
        {"loss_ratio": 0.6},
        {"queue_bytes": 100},
        {"queue_bytes": 10**30},
        {"outage_s": OUTAGE_S_MAX + 1},
        {"outage_s": 10**400},
        {"trace": MARK},
        {"trace": "none"},
        {"trace": "keep"},
        {"trace": {"small": MARK}},
        {"silent": True},
        {"outage_s": 5, "silent": 1},
        {"silent": MARK, "outage_s": 1},
        {"trace": "small", "down_bps": 1_000_000},
    ],
)
def test_a_change_outside_the_rules_is_refused(document: object) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_change(document)
    assert MARK not in str(refused.value)
    assert str(refused.value).endswith(".")
    assert refused.value.advice


def test_every_part_of_a_change_is_read() -> None:
    document = {"down_bps": 2_000_000, "up_bps": 500_000, "delay_s": 0, "outage_s": 5, "loss_ratio": 0.01}
    assert parse_change({**document, "queue_bytes": 64_000, "trace": None, "silent": True}) == LinkChange(
        down_bps=2_000_000,
        up_bps=500_000,
        delay_s=0.0,
        queue_bytes=64_000,
        loss_ratio=0.01,
        trace="none",
        outage_s=5.0,
        silent=True,
    )


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5), st.lists)
    | st.dictionaries(
        st.sampled_from(["down_bps", "delay_s", "trace", "silent", "outage_s", "queue_bytes", "x"]),
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    )
)
def test_any_document_is_a_change_within_limits_or_refused(document: object) -> None:
    try:
        change = parse_change(document)
    except BadRequest:
        return
    after = change.applied_to(LinkSettings(), TRACES)
    assert min(after.down_bps, after.up_bps, after.queue_bytes) > 0
    assert after.delay_s >= 0
    assert 0 <= after.loss_ratio < 1


def test_what_a_change_does_not_name_stays() -> None:
    before = LinkSettings(down_bps=4_000_000, up_bps=1_000_000, delay_s=0.02, loss_ratio=0.1)
    after = parse_change({"delay_s": 0.08}).applied_to(before, TRACES)
    assert after == LinkSettings(down_bps=4_000_000, up_bps=1_000_000, delay_s=0.08, loss_ratio=0.1)


def test_a_trace_replaces_both_rates_and_null_brings_them_back() -> None:
    before = LinkSettings(down_bps=4_000_000, up_bps=1_000_000)
    tracing = parse_change({"trace": "small"}).applied_to(before, TRACES)
    assert (tracing.trace_down, tracing.trace_up) == TRACES["small"]
    assert tracing.capacity() == Capacity(24_000, 12_000)
    assert parse_change({"trace": None}).applied_to(tracing, TRACES) == before


def test_a_rate_ends_the_trace_of_its_direction() -> None:
    tracing = parse_change({"trace": "small"}).applied_to(LinkSettings(), TRACES)
    after = parse_change({"up_bps": 300_000}).applied_to(tracing, TRACES)
    assert after.capacity() == Capacity(24_000, 300_000)


@pytest.mark.parametrize(
    "wrong", [{"down_bps": 0}, {"up_bps": 10**12}, {"delay_s": -1.0}, {"queue_bytes": 1}, {"loss_ratio": 0.9}]
)
def test_settings_outside_the_limits_cannot_be_made(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        LinkSettings(**wrong)  # type: ignore[arg-type]


def test_the_example_in_the_advice_is_a_change() -> None:
    with pytest.raises(BadRequest) as refused:
        parse_change({})
    advice = refused.value.advice
    for example in (advice[advice.index("{") : advice.index("}") + 1], advice[advice.rindex("{") : -1]):
        parse_change(json.loads(example))

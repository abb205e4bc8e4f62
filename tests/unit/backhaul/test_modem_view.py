"""What a modem says becomes figures where it makes sense, and one word for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.ways.modem_view import ModemView, Registration, Signal, read_modem

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = (
    "State",
    "AccessTechnologies",
    "Ports",
    "SignalQuality",
    "RegistrationState",
    "Lte",
    "Nr5g",
    "Stats",
    "Interface",
)


@pytest.mark.parametrize(
    ("rsrp_dbm", "rsrq_db", "sinr_db", "quality_ratio", "signal"),
    [
        (-85.0, -9.0, 15.0, 0.2, Signal.GOOD),
        (-85.0, -14.0, 15.0, None, Signal.GOOD),  # a loaded cell is not a poor signal
        (-85.0, -14.0, None, None, Signal.FAIR),
        (-85.0, -9.0, -3.0, None, Signal.POOR),  # strong, and drowned by others
        (-100.0, -9.0, 15.0, None, Signal.FAIR),
        (-118.0, -9.0, 15.0, None, Signal.POOR),
        (None, None, None, 0.7, Signal.GOOD),
        (None, None, None, 0.2, Signal.POOR),
        (None, None, None, None, Signal.UNKNOWN),
        (None, None, 12.0, 0.1, Signal.GOOD),
    ],
)
def test_the_worst_of_what_is_measured_is_the_word(
    rsrp_dbm: float | None, rsrq_db: float | None, sinr_db: float | None, quality_ratio: float | None, signal: Signal
) -> None:
    view = ModemView(rsrp_dbm=rsrp_dbm, rsrq_db=rsrq_db, sinr_db=sinr_db, quality_ratio=quality_ratio)
    assert view.signal is signal


@pytest.mark.parametrize(
    ("bits", "name"),
    [
        (1 << 15 | 1 << 14, "5G"),
        (1 << 14, "4G"),
        (1 << 5, "3G"),
        (1 << 9, "3G"),
        (1 << 12, "3G"),
        (1 << 4, "2G"),
        (0, None),
    ],
)
def test_technologies_are_called_as_people_call_them(bits: int, name: str | None) -> None:
    assert read_modem({"AccessTechnologies": bits}, {}, {}, [], 0.0).technology == name


def test_the_connected_bearer_is_the_one_that_counts() -> None:
    bearers: list[dict[str, object]] = [
        {"Connected": False, "Interface": "ppp0", "Stats": {"rx-bytes": 9}},
        {"Connected": True, "Interface": "wwan1", "Stats": {"rx-bytes": 7, "tx-bytes": 3}},
    ]
    view = read_modem({"State": 11}, {"RegistrationState": 5}, {}, list(bearers), 4.0)
    assert (view.interface, view.down_bytes, view.up_bytes, view.heard_s) == ("wwan1", 7, 3, 4.0)
    assert (view.connected, view.registration, view.roaming) == (True, Registration.ROAMING, True)


def test_5g_is_read_where_the_modem_is_on_it() -> None:
    signal = {"Nr5g": {"rsrp": -101.0, "snr": 3.0}, "Lte": {"rsrp": -80.0, "snr": 20.0}}
    assert read_modem({}, {}, signal, [], 0.0).rsrp_dbm == -101.0


@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING), ANYTHING)
def test_whatever_a_modem_says_becomes_a_view(told: dict[str, object], stats: object) -> None:
    view = read_modem(told, told, told, [{"Connected": True, "Stats": stats, **told}], 1.0)
    assert view.rsrp_dbm is None or -156 <= view.rsrp_dbm <= -31
    assert view.down_bytes is None or view.down_bytes >= 0
    assert view.interface is None or 1 <= len(view.interface) <= 15
    assert view.signal in Signal

"""What a modem says of its radio and its connection, as plain values and in words. Pure.

What comes is whatever a modem's firmware made of it, so each figure is taken only where its type and range are right,
and is absent else. Nothing that names the modem, its SIM or its owner is among it.

Source: ModemManager's D-Bus interfaces `Modem`, `Modem.Modem3gpp`, `Modem.Signal`, `Bearer`, and its enumerations
`MMModemState`, `MMModemAccessTechnology`, `MMModem3gppRegistrationState`, `MMModemPortType`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite

from gateway.errors import N_

CONNECTED = 11  # MMModemState
_NET_PORT = 2  # MMModemPortType
_BYTES_MAX = 2**63
_INTERFACE = re.compile(r"[^\s/\x00-\x1f]{1,15}")
# MMModemAccessTechnology, the best first; bits that stand together are steps of one technology
_TECHNOLOGIES = (
    (1 << 15, "5G"),
    (1 << 14 | 1 << 16 | 1 << 17, "4G"),
    (0x1F << 5, "3G"),
    (0xF << 10, "3G"),  # CDMA: 1xRTT and EV-DO
    (0xF << 1, "2G"),
)
# 3GPP TS 36.133 §9.1.4, §9.1.7 and TS 38.133 §10.1: what can be reported at all
_RSRP_DBM = (-156.0, -31.0)
_RSRQ_DB = (-43.0, 20.0)
_SINR_DB = (-23.0, 40.0)


class Registration(StrEnum):
    """Whether a network lets the modem in."""

    UNKNOWN = "unknown"
    IDLE = "idle"
    SEARCHING = "searching"
    HOME = "home"
    ROAMING = "roaming"
    DENIED = "denied"


class Signal(StrEnum):
    """The radio in one word."""

    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    UNKNOWN = "unknown"


# MMModem3gppRegistrationState; those for texts or emergencies alone carry no data
_REGISTRATIONS = {
    0: Registration.IDLE,
    1: Registration.HOME,
    2: Registration.SEARCHING,
    3: Registration.DENIED,
    5: Registration.ROAMING,
    9: Registration.HOME,
    10: Registration.ROAMING,
}
# At or above the first it is good, at or above the second fair: what makers of routers and operators' field engineers
# go by (Teltonika's signal strength recommendations, HiCellTek's table). RSRQ falls with the cell's load alone, so it
# counts only where there is no SINR.
_RSRP_STEPS_DBM = (-90.0, -110.0)
_SINR_STEPS_DB = (10.0, 0.0)
_RSRQ_STEPS_DB = (-10.0, -15.0)
_QUALITY_STEPS = (0.6, 0.3)  # ModemManager's own ratio, where there is nothing better

SIGNAL_WORDS = {
    Signal.GOOD: N_("good"),
    Signal.FAIR: N_("fair"),
    Signal.POOR: N_("poor"),
    Signal.UNKNOWN: N_("unknown"),
}
REGISTRATION_WORDS = {
    Registration.UNKNOWN: N_("The modem does not say whether a network lets it in."),
    Registration.IDLE: N_("The modem is not looking for a network."),
    Registration.SEARCHING: N_("The modem is looking for a network."),
    Registration.HOME: N_("The modem is in its own network."),
    Registration.ROAMING: N_("The modem is in another operator's network (roaming), which may cost extra."),
    Registration.DENIED: N_("The network does not let the modem in. See whether its SIM is active and paid."),
}
NO_MODEM = N_("No modem is seen by this machine. That is normal where the link is a cable or a router of its own.")


@dataclass(frozen=True, slots=True)
class ModemView:
    """What one modem says now; `None` where it says nothing."""

    interface: str | None = None
    connected: bool = False
    registration: Registration = Registration.UNKNOWN
    technology: str | None = None  # "4G"
    rsrp_dbm: float | None = None
    rsrq_db: float | None = None
    sinr_db: float | None = None
    quality_ratio: float | None = None
    down_bytes: int | None = None  # of the connection there is now
    up_bytes: int | None = None
    heard_s: float = field(default=0.0, compare=False)  # monotonic

    @property
    def roaming(self) -> bool:
        """Whether the network is another operator's."""
        return self.registration is Registration.ROAMING

    @property
    def signal(self) -> Signal:
        """The radio in one word: the worst of what is known."""
        clear = (self.sinr_db, _SINR_STEPS_DB) if self.sinr_db is not None else (self.rsrq_db, _RSRQ_STEPS_DB)
        measured = [pair for pair in ((self.rsrp_dbm, _RSRP_STEPS_DBM), clear) if pair[0] is not None]
        known = measured or [(self.quality_ratio, _QUALITY_STEPS)]
        return max((_grade(value, steps) for value, steps in known), key=list(Signal).index)


def read_modem(
    modem: Mapping[str, object],
    network: Mapping[str, object],
    signal: Mapping[str, object],
    bearers: list[Mapping[str, object]],
    heard_s: float,
) -> ModemView:
    """Return what a modem's properties say: those of `Modem`, `Modem3gpp`, `Signal`, and of each `Bearer`."""
    radio = next((each for kind in ("Nr5g", "Lte") if "rsrp" in (each := _table(signal.get(kind)))), {})
    bearer = next((each for each in bearers if each.get("Connected") is True), {})
    counted = _table(bearer.get("Stats"))
    return ModemView(
        interface=_name(bearer.get("Interface")) or _net_port(modem.get("Ports")),
        connected=modem.get("State") == CONNECTED,
        registration=_REGISTRATIONS.get(_whole(network.get("RegistrationState")), Registration.UNKNOWN),
        technology=_technology(_whole(modem.get("AccessTechnologies"))),
        rsrp_dbm=_between(radio.get("rsrp"), _RSRP_DBM),
        rsrq_db=_between(radio.get("rsrq"), _RSRQ_DB),
        sinr_db=_between(radio.get("snr"), _SINR_DB),
        quality_ratio=_quality(modem.get("SignalQuality")),
        down_bytes=_bytes(counted.get("rx-bytes")),
        up_bytes=_bytes(counted.get("tx-bytes")),
        heard_s=heard_s,
    )


def _grade(value: float | None, steps: tuple[float, float]) -> Signal:
    if value is None:
        return Signal.UNKNOWN
    good, fair = steps
    return Signal.GOOD if value >= good else Signal.FAIR if value >= fair else Signal.POOR


def _technology(bits: int) -> str | None:
    return next((name for mask, name in _TECHNOLOGIES if bits & mask), None)


def _net_port(ports: object) -> str | None:
    for port in ports if isinstance(ports, list) else []:
        if isinstance(port, list | tuple) and len(port) == 2 and port[1] == _NET_PORT:
            return _name(port[0])
    return None


def _quality(told: object) -> float | None:
    percent = _whole(told[0]) if isinstance(told, list | tuple) and told else -1
    return percent / 100 if 0 < percent <= 100 else None  # 0: it does not know


def _between(told: object, limits: tuple[float, float]) -> float | None:
    if isinstance(told, bool) or not isinstance(told, int | float) or not isfinite(told):
        return None
    low, high = limits
    return float(told) if low <= told <= high else None


def _bytes(told: object) -> int | None:
    whole = _whole(told)
    return whole if 0 <= whole < _BYTES_MAX else None


def _whole(told: object) -> int:
    return told if isinstance(told, int) and not isinstance(told, bool) else -1


def _name(told: object) -> str | None:
    return told if isinstance(told, str) and _INTERFACE.fullmatch(told) else None


def _table(told: object) -> Mapping[str, object]:
    return told if isinstance(told, dict) else {}

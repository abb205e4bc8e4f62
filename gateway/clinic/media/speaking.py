"""Who speaks: how loud a browser's voice is, smoothed over half a second. Pure.

The browser says the level of each packet (0 dBov loud to −127 dBov silent). One that does not is judged by its packets'
sizes, a weak sign: Opus in variable rate spends more on speech than on a room's noise, and next to nothing on silence.

Source: RFC 6464 §3 (level), RFC 6716 §2.1.9 (DTX), RFC 7587 §4.2 (timestamps at 48 kHz).
"""

import math

SMOOTH_S = 0.5
LOUD_DBOV = 15  # a voice close to the microphone
SILENT_DBOV = 90  # a quiet room
DTX_BYTES = 3  # a packet of so little says that there is nothing to hear
BY_SIZE_MAX = 0.5  # such a sign never outdoes a browser that says its level
PEAK_BPS_MIN = 8_000  # a rate under it is no speech to compare with
PEAK_S = 20.0  # in which the loudest rate is half forgotten
PACKET_S_MAX = 0.12  # RFC 6716 §2.1.4


class VoiceLevel:
    """One voice."""

    def __init__(self) -> None:
        self._level = 0.0
        self._at_s: float | None = None
        self._timestamp: int | None = None
        self._peak_bps = float(PEAK_BPS_MIN)

    def said(self, below_dbov: int, now_s: float) -> None:
        """Take a level as the browser says it: 0 loud to 127 silent."""
        self._smooth(min(max((SILENT_DBOV - below_dbov) / (SILENT_DBOV - LOUD_DBOV), 0.0), 1.0), now_s)

    def sized(self, payload_bytes: int, timestamp: int, now_s: float) -> None:
        """Take a packet of a browser that says no level."""
        before, self._timestamp = self._timestamp, timestamp
        if before is None:
            return
        packet_s = ((timestamp - before) & 0xFFFFFFFF) / 48_000
        if payload_bytes <= DTX_BYTES or not 0 < packet_s <= PACKET_S_MAX:
            self._smooth(0.0, now_s)
            return
        rate_bps = payload_bytes * 8 / packet_s
        faded_bps = self._peak_bps * (1 - packet_s / PEAK_S / 2)
        self._peak_bps = max(rate_bps, faded_bps, PEAK_BPS_MIN)
        self._smooth(BY_SIZE_MAX * rate_bps / self._peak_bps, now_s)

    def level(self, now_s: float) -> float:
        """Return it, 0 silent to 1 loud; what is not heard any more fades."""
        return 0.0 if self._at_s is None else self._level * math.exp(-max(now_s - self._at_s, 0.0) / SMOOTH_S)

    def _smooth(self, level: float, now_s: float) -> None:
        kept = 0.0 if self._at_s is None else math.exp(-max(now_s - self._at_s, 0.0) / SMOOTH_S)
        self._level = level + (self._level - level) * kept
        self._at_s = now_s

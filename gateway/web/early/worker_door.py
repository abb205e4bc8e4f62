"""A door as a worker has it: the listening socket, the ready answers, and what was done with them.

A client that the door does not serve is accepted too, and answered by the box, in its own words.
"""

import socket
from ipaddress import ip_network
from typing import Any

from gateway.backhaul.reach import is_of
from gateway.clock import Clock
from gateway.web.early.answers import Answered, Early, EarlyAnswers
from gateway.web.early.copies import Line, Sum, reports
from gateway.web.early.generations import Stamp
from gateway.web.early.shared_page import SharedPage
from gateway.web.statistics import Counters

LINES_MAX = 20_000  # between two reports, for the access log


class Notes:
    """What was answered since the last report: lines for the access log where the box keeps one, sums of the rest."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self.lines: list[Line] = []
        self._sums: dict[tuple[str, int], Sum] = {}

    def note(self, wall_s: float, site: str, status: int, size_bytes: int, how: str) -> None:
        """Gather one answer."""
        if self._wanted and len(self.lines) < LINES_MAX:
            self.lines.append((wall_s, site, status, size_bytes, how))
            return
        _, _, _, size_before, hits = self._sums.get((site, status), (wall_s, site, status, 0, 0))
        self._sums[site, status] = (wall_s, site, status, size_before + size_bytes, hits + 1)

    def sums(self) -> list[Sum]:
        """Return what no line tells."""
        return list(self._sums.values())

    def clear(self) -> None:
        """Gather anew."""
        self.lines, self._sums = [], {}


class WorkerDoor:
    """One door."""

    def __init__(self, number: int, told: dict[str, Any], page: SharedPage, process: int, clock: Clock) -> None:
        self.listening = socket.socket(fileno=told["fd"])
        self.listening.setblocking(False)
        for level, option in ((socket.IPPROTO_TCP, socket.TCP_NODELAY), (socket.SOL_SOCKET, socket.SO_KEEPALIVE)):
            self.listening.setsockopt(level, option, 1)  # connections have from it what they are to have
        self.number, self._page, self._process = number, page, process
        self._connections_max: int = told["connections_max"]
        clients = told["clients"]
        self._clients = None if clients is None else [ip_network(each) for each in clients]
        self._counters = Counters()
        self._notes = Notes(wanted=told["log"])
        words = page.generations(number)

        def holds(stamp: Stamp) -> bool:
            return words[stamp[0]] == stamp[1] and words[0] == stamp[2]

        self.early = EarlyAnswers(clock, self._counters, self._notes, bytes_max=told["bytes_max"], holds=holds)

    def accept(self) -> tuple[socket.socket, Early] | None:
        """Return a connection and how its requests are answered, or None where it is one too many.

        Raises: OSError where there is none, or no file for it.
        """
        self.count(1)  # before the sum is read: of two workers that look at once, each sees the other's
        try:
            accepted, peer = self.listening.accept()
        except OSError:
            self.count(-1)
            raise
        if self._page.open(self.number) > self._connections_max:
            self.count(-1)
            accepted.close()
            return None
        accepted.setblocking(False)
        near = self._clients is None or is_of(peer[0], self._clients)
        return accepted, self.early.answer if near else _nothing

    def count(self, change: int) -> None:
        """Count connections that began or ended here."""
        self._page.add(self.number, self._process, change)

    def reports(self) -> list[bytes]:
        """Return what was done since this was last called."""
        hits, size_bytes = self._counters.early, self._counters.bytes_from_store
        if not hits:
            return []
        answered = Answered(hits, size_bytes, self.early.asked_for(), self._notes.lines)
        made = list(reports(self.number, answered, self._notes.sums()))
        self._counters.early = self._counters.bytes_from_store = 0
        self._notes.clear()
        return made


def _nothing(data: bytes) -> None:
    del data

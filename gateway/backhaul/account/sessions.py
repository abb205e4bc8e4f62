"""What RADIUS accounting is told of each tenant: sessions that follow each other without a gap. Pure.

A tenant is a user, and its session lasts a day of the box's running time; it outlives restarts, under the same
Acct-Session-Id. Every report says the session's sums so far, and only sums that are on disk, so a later report never
says less and one that comes twice counts once. Where one session ends the next begins at the same byte.

Directions are the NAS's (RFC 2866 §5.3, §5.4): *Input* is what it received from the user, so the village's upload;
*Output* is what it sent to the user, so the village's download. What was served here without the link is in neither.

Accounting-On is said once, before the first session of a ledger: it tells the server to end the sessions that it has
of this box, which after a restart of the box would be wrong.

Source: RFC 2866 §5, RFC 2869 §5.1, §5.2 (gigawords), §5.3, RFC 5080 §2.2.1 (retransmission).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from typing import Any, Self

from gateway.backhaul.account.usage import Lifetime
from gateway.clock import clock_state

SESSION_S = 86_400
WORD = 2**32  # the octet counters wrap here; gigawords count how often (RFC 2869 §5.1)
DELAY_S_MAX = 2**31
NO_TENANT = "village"  # a user's name must not be empty
SESSION_TIMEOUT = 5  # RFC 2866 §5.10: the session had lasted as long as it may


class Status(IntEnum):
    """Acct-Status-Type (RFC 2866 §5.1)."""

    START = 1
    STOP = 2
    INTERIM = 3
    ON = 7


@dataclass(frozen=True, slots=True)
class Session:
    """A tenant's session: its id, and what its lifetime had come to when it began."""

    id: str
    base: Lifetime


@dataclass(frozen=True, slots=True)
class Report:
    """One thing that the server is told; octets as the NAS sees them."""

    status: Status
    session_id: str
    tenant: str = ""
    input_octets: int = 0
    output_octets: int = 0
    session_s: int = 0
    event_wall_s: int = 0

    def document(self) -> dict[str, Any]:
        """Return the report as what JSON can write."""
        return asdict(self)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Return a report that was written down."""
        return cls(**{**document, "status": Status(document["status"])})


@dataclass(frozen=True, slots=True)
class Sessions:
    """All sessions of a box; `prefix` is the ledger's own, `given` how many ids were given."""

    prefix: str
    given: int
    open: Mapping[str, Session]

    def document(self) -> dict[str, Any]:
        """Return the sessions as what JSON can write."""
        opened = {
            tenant: [each.id, each.base.down_bytes, each.base.up_bytes, each.base.seconds]
            for tenant, each in self.open.items()
        }
        return {"prefix": self.prefix, "given": self.given, "open": opened}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Return sessions that were written down."""
        opened = {
            str(tenant): Session(str(name), Lifetime(*map(int, base)))
            for tenant, (name, *base) in document["open"].items()
        }
        return cls(str(document["prefix"]), int(document["given"]), opened)


def first(prefix: str, lifetimes: Mapping[str, Lifetime], wall_s: float) -> tuple[Sessions, list[Report]]:
    """Return the first sessions, and what the server is to be told: what was counted before is not in them."""
    reports = [Report(Status.ON, f"{prefix}-0", event_wall_s=int(wall_s))]
    sessions = Sessions(prefix, 0, {})
    for tenant, lifetime in lifetimes.items():
        sessions, report = _begun(sessions, tenant, lifetime, wall_s)
        reports.append(report)
    return sessions, reports


def step(
    sessions: Sessions, lifetimes: Mapping[str, Lifetime], wall_s: float, session_s: float = SESSION_S
) -> tuple[Sessions, list[Report]]:
    """Return the sessions with those begun and ended that are due, and what the server is to be told of it."""
    reports: list[Report] = []
    for tenant, lifetime in lifetimes.items():
        session = sessions.open.get(tenant)
        if session is not None:
            if lifetime.seconds - session.base.seconds < session_s:
                continue
            reports.append(_report(Status.STOP, tenant, session, lifetime, wall_s))
        sessions, report = _begun(sessions, tenant, lifetime if session else Lifetime(), wall_s)
        reports.append(report)
    return sessions, reports


def interims(sessions: Sessions, lifetimes: Mapping[str, Lifetime], wall_s: float) -> list[Report]:
    """Return what each open session has come to."""
    return [
        _report(Status.INTERIM, tenant, session, lifetimes.get(tenant, session.base), wall_s)
        for tenant, session in sessions.open.items()
    ]


def attributes(report: Report, box: str, wall_s: float) -> list[tuple[str, int | str]]:
    """Return the attributes of a report, by name; `wall_s` is when it is sent."""
    made: list[tuple[str, int | str]] = [
        ("Acct-Status-Type", int(report.status)),
        ("NAS-Identifier", box),
        ("Acct-Session-Id", report.session_id),
        ("Acct-Delay-Time", _delay_s(report, wall_s)),
    ]
    if clock_state(report.event_wall_s) == "trusted" and report.event_wall_s < WORD:  # until 2106
        made.append(("Event-Timestamp", report.event_wall_s))
    if report.status is Status.ON:
        return made
    made += [("User-Name", report.tenant or NO_TENANT), ("NAS-Port-Type", 5)]  # RFC 2865 §5.41: virtual
    if report.status is Status.START:
        return made
    input_high, input_low = divmod(report.input_octets, WORD)
    output_high, output_low = divmod(report.output_octets, WORD)
    made += [
        ("Acct-Input-Octets", input_low),
        ("Acct-Input-Gigawords", input_high),
        ("Acct-Output-Octets", output_low),
        ("Acct-Output-Gigawords", output_high),
        ("Acct-Session-Time", report.session_s),
    ]
    return [*made, ("Acct-Terminate-Cause", SESSION_TIMEOUT)] if report.status is Status.STOP else made


def next_wait_s(before_s: float, chance: float, *, first_s: float, last_s: float) -> float:
    """Return the pause before a report is sent once more; `chance` is 0 to 1 (RFC 5080 §2.2.1).

    >>> next_wait_s(0.0, 0.5, first_s=2.0, last_s=16.0), next_wait_s(4.0, 1.0, first_s=2.0, last_s=16.0)
    (2.0, 8.4)
    """
    spread = 0.2 * chance - 0.1
    wait_s = 2 * before_s + spread * before_s if before_s else first_s + spread * first_s
    return wait_s if wait_s <= last_s else last_s + spread * last_s


def _begun(sessions: Sessions, tenant: str, base: Lifetime, wall_s: float) -> tuple[Sessions, Report]:
    session = Session(f"{sessions.prefix}-{sessions.given + 1}", base)
    made = replace(sessions, given=sessions.given + 1, open={**sessions.open, tenant: session})
    return made, _report(Status.START, tenant, session, base, wall_s)


def _report(status: Status, tenant: str, session: Session, lifetime: Lifetime, wall_s: float) -> Report:
    base = session.base
    return Report(
        status,
        session.id,
        tenant,
        input_octets=lifetime.up_bytes - base.up_bytes,
        output_octets=lifetime.down_bytes - base.down_bytes,
        session_s=lifetime.seconds - base.seconds,
        event_wall_s=int(wall_s),
    )


def _delay_s(report: Report, wall_s: float) -> int:
    """Return for how long it has been tried to tell this (RFC 2866 §5.2); 0 where the clock was not known."""
    if clock_state(report.event_wall_s) == "unknown":
        return 0
    return min(max(int(wall_s) - report.event_wall_s, 0), DELAY_S_MAX)

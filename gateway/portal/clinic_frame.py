"""What the clinic's pages have in common: who may see what, the lock of a device that was left alone, and the head.

Nurses see and write records. Doctors with an account see the cases that were asked, and answer them. A technician sees
counts and states and never content: their pages ask the records for counts alone.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

from aiohttp import web

from gateway.backhaul.sharing.admission import Admission
from gateway.clinic.records.entries import Writer
from gateway.clinic.records.views import Actor, RecordView
from gateway.clock import Clock, clock_state
from gateway.errors import GatewayError, NotAllowed, NotFound
from gateway.languages import translate
from gateway.portal.clinic_doctors import Doctor, Doctors
from gateway.portal.clinic_forms import is_uuid
from gateway.portal.clinic_lock import IdleLock
from gateway.portal.credentials import Role
from gateway.portal.identity import VISIT, Identity, Visit, demand_role
from gateway.portal.origins import SAFE_METHODS
from gateway.portal.pages import Pages
from gateway.portal.people import Account
from gateway.portal.view import Place, Records

PIN_PATH = "/clinica/pin"
RECORD_PATH = "/clinica/registro"
_WRITERS = {Role.NURSE: Writer.NURSE, Role.DOCTOR: Writer.DOCTOR}


class FarShare(Protocol):
    """A share of the link, as a body takes it that goes to the far side or comes from there."""

    async def take_up(self, size_bytes: int) -> None: ...
    async def take_down(self, size_bytes: int) -> None: ...


class Calls(Protocol):
    """The consultations that are open."""

    def end(self, consultation: str) -> None: ...
    def reopen(self, consultation: str) -> None: ...


@dataclass(frozen=True, slots=True)
class ClinicDesk:
    """What the clinic's pages stand on; `sign` makes a link's token of a consultation, a role and how long it is good.

    `read` says what a token opens, also after its call. `far` holds a share of the link in the interactive class.
    `send_now` has what waits for the link go at once. `ice_servers` are the relays of a far party's browser.
    """

    records: Records
    calls: Calls
    sign: Callable[[str, str, float], str]
    read: Callable[[str], Place]
    far: Callable[[], AbstractContextManager[FarShare]]
    send_now: Callable[[], None] = lambda: None
    ice_servers: Callable[[], Sequence[Mapping[str, str]]] = tuple
    doctors: Sequence[Doctor] = field(default=())
    link_s: float = 7_200.0
    idle_lock_s: float = 300.0
    file_bytes_max: int = 12_000_000
    may_record: bool = False


@dataclass(frozen=True, slots=True)
class Seat:
    """Somebody who works in the clinic."""

    account: Account
    session: str
    visit: Visit

    @property
    def actor(self) -> Actor:
        """Who it is in the audit trail.

        Raises: NotAllowed for a technician, who reads no record.
        """
        writer = _WRITERS.get(self.account.role)
        if writer is None:
            raise NotAllowed
        return Actor(writer, self.account.name)

    def say(self, sentence: str, **values: object) -> str:
        """Return a sentence in the visitor's language."""
        return translate(self.visit.language, sentence, **values)


Seated = Callable[[web.Request, Seat], Awaitable[web.StreamResponse]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ClinicFrame:
    """Lets people of the clinic in, and renders its pages."""

    def __init__(
        self,
        pages: Pages,
        identity: Identity,
        desk: ClinicDesk,
        lock: IdleLock,
        clock: Clock,
        admission: Callable[[], Admission],
        door_url: str,
    ) -> None:
        self.pages = pages
        self.identity = identity
        self.desk = desk
        self.records = desk.records
        self.doctors = Doctors(desk.doctors, clock)
        self.lock = lock
        self.clock = clock
        self.admission = admission
        self.door_url = door_url.rstrip("/")

    def behind(self, handler: Seated, *roles: Role, is_program: bool = False) -> Handler:
        """Return a handler for people with one of the roles whose pages are not locked.

        Locked, a page leads to the PIN, a form is kept until it was typed, and a script hears a refusal.
        """

        async def guarded(request: web.Request) -> web.StreamResponse:
            seat = self.seat(request, *roles)
            if await self.lock.is_locked(seat.session):
                if is_program:
                    raise NotAllowed
                return await self._lead_to_pin(request)
            self.lock.touch(seat.session)
            return await handler(request, seat)

        return guarded

    def seat(self, request: web.Request, *roles: Role) -> Seat:
        """Return who asks, locked or not.

        Raises: NotSignedIn, NotAllowed.
        """
        visit = request[VISIT]
        return Seat(demand_role(visit, *roles), visit.session or "", visit)

    async def view(self, request: web.Request, seat: Seat) -> RecordView:
        """Return the record that an address names.

        Raises: NotFound.
        """
        record = request.match_info["id"]
        found = await self.records.view(record, by=seat.actor) if is_uuid(record) else None
        if found is None:
            raise NotFound
        return found

    def wall_s(self) -> float | None:
        """Return the date, where the box knows it."""
        wall_s = self.clock.wall_s()
        return wall_s if clock_state(wall_s) == "trusted" else None

    def age_s(self, wall_s: float) -> float | None:
        """Return how long ago something was, where the box knows the date."""
        now = self.wall_s()
        return None if now is None or clock_state(wall_s) == "unknown" else max(now - wall_s, 0.0)

    def render(
        self,
        request: web.Request,
        template: str,
        *,
        status: int = 200,
        locks: bool = True,
        form_id: str = "",
        **values: object,
    ) -> web.Response:
        """Return a page of the clinic; one that `locks` goes away by itself from a screen that was left alone.

        One that does not holds what somebody types: a script covers it instead.
        """
        account = request[VISIT].account
        return self.pages.render(
            request,
            template,
            status=status,
            personal=True,
            has_form=True,
            is_call=False,
            form_id=form_id or str(uuid.uuid4()),
            lock_s=int(self.lock.idle_s) + 1 if locks else 0,
            idle_s=int(self.lock.idle_s),
            is_nurse=account is not None and account.role is Role.NURSE,
            age=self.age_s,
            **values,
        )

    async def _lead_to_pin(self, request: web.Request) -> web.StreamResponse:
        is_form = request.content_type == "application/x-www-form-urlencoded"
        if request.method in SAFE_METHODS or not is_form:
            raise web.HTTPSeeOther(f"{PIN_PATH}?sigue={quote(request.path)}")
        kept = await self.identity.take_form(request)
        kept.pop("token", None)
        return self.render_pin(request, request.path, kept)

    def render_pin(
        self, request: web.Request, wanted: str, kept: dict[str, str], problem: str = "", status: int = 200
    ) -> web.Response:
        """Return the page that asks for the PIN; what waits behind it is in the form, and is not shown."""
        return self.pages.render(
            request, "pin.html", status=status, next=wanted, kept=kept, problem=problem, is_open=False, step="unlock"
        )


def said(seat: Seat, error: GatewayError) -> str:
    """Return a failure's two sentences as one."""
    values = error.values
    return " ".join(filter(None, (seat.say(error.what, **values), seat.say(error.advice, **values))))

"""A record's call: the links that let people in, each for one role, copied, scanned from a screen, or sent by phone.

A link is a signed token and is kept nowhere, so its page makes it anew each time. What is sent by phone says nothing
but that a clinic asks; who is asked for, and why, is behind the link.
"""

import asyncio
from dataclasses import dataclass
from urllib.parse import quote

import segno
from aiohttp import web

from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import RecordView
from gateway.errors import N_, Conflict
from gateway.portal.clinic_doctors import Doctor
from gateway.portal.clinic_frame import RECORD_PATH, ClinicFrame, Seat
from gateway.portal.credentials import Role

INTERPRETER_S = 3_600.0
CASE_LINK_S = 7 * 86_400.0  # a doctor answers a case when there is time
_CALLED = N_("A clinic asks you to a conversation: %(link)s")
_ASKED = N_("A clinic asks you something: %(link)s")
_MORE = {"interprete": "interpreter", "familiar": "guest"}


@dataclass(frozen=True, slots=True)
class Link:
    """A link to give away: as text, as a QR code, and as a message to a phone number."""

    url: str
    qr: str
    sms: str
    hours: int


class CallPages:
    """Call now, and who may come in."""

    def __init__(self, frame: ClinicFrame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these pages."""
        path = f"{RECORD_PATH}/{{id}}"
        behind = self._frame.behind
        return [
            web.post(f"{path}/llamar", behind(self._call, Role.NURSE)),
            web.get(f"{path}/llamada", behind(self._show, Role.NURSE)),
            web.get(f"{path}/enlace", behind(self._show_case_link, Role.NURSE)),
        ]

    async def _call(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        view = await self._frame.view(request, seat)
        form = await self._frame.identity.take_form(request)
        if view.stage is not Stage.TALKING:
            try:
                await self._frame.records.move(view.id, Stage.TALKING, by=seat.actor)
            except Conflict as exc:
                raise Conflict(N_("This record is closed."), N_("Begin a new one.")) from exc
        self._frame.desk.calls.reopen(view.id)
        doctor = self._frame.doctors.named(form.get("doctor", "") or view.doctor)
        if doctor is not None:
            self._frame.doctors.end_calls(view.id)
            self._frame.doctors.call(doctor, view.id)
        raise web.HTTPSeeOther(f"{RECORD_PATH}/{view.id}/llamada")

    async def _show(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        view = await self._frame.view(request, seat)
        if view.stage is not Stage.TALKING:
            raise web.HTTPSeeOther(f"{RECORD_PATH}/{view.id}")
        visit, link_s, sign = seat.visit, self._frame.desk.link_s, self._frame.desk.sign
        doctor = self._doctor(view)
        camera = sign(view.id, "camera", link_s) if request.query.get("para") == "camara" else ""
        more = _MORE.get(request.query.get("para", ""), "")
        more_s = INTERPRETER_S if more == "interpreter" else link_s
        return self._frame.render(
            request,
            "clinic_call.html",
            record=view,
            nurse=f"{visit.scheme}://{visit.host}/consulta/{sign(view.id, 'nurse', link_s)}",
            camera=f"{visit.scheme}://{visit.host}/whip/{camera}" if camera else "",
            doctor=doctor,
            to_doctor=await self._link(seat, f"/consulta/{sign(view.id, 'doctor', link_s)}", link_s, _CALLED, doctor),
            more=more,
            to_more=await self._link(seat, f"/consulta/{sign(view.id, more, more_s)}", more_s, _CALLED)
            if more
            else None,
            doctors=self._frame.doctors.all(),
            admission=self._frame.admission(),
        )

    async def _show_case_link(self, request: web.Request, seat: Seat) -> web.StreamResponse:
        view = await self._frame.view(request, seat)
        if view.stage not in {Stage.ASKED, Stage.ANSWERED}:
            raise web.HTTPSeeOther(f"{RECORD_PATH}/{view.id}")
        token = self._frame.desk.sign(view.id, "doctor", CASE_LINK_S)
        doctor = self._frame.doctors.named(view.doctor)
        link = await self._link(seat, f"/caso/{token}", CASE_LINK_S, _ASKED, doctor)
        return self._frame.render(request, "clinic_link.html", record=view, to_case=link, doctor=doctor)

    def _doctor(self, view: RecordView) -> Doctor | None:
        called = (each.doctor for each in self._frame.doctors.all())
        return next((each for each in called if self._frame.doctors.called(each.desk) == view.id), None)

    async def _link(self, seat: Seat, path: str, valid_s: float, words: str, doctor: Doctor | None = None) -> Link:
        url = f"{self._frame.door_url}{path}"
        phone = "".join(doctor.phone.split()) if doctor else ""
        sms = f"sms:{phone}?body={quote(seat.say(words, link=url))}"
        return Link(url, await asyncio.to_thread(qr_image, url), sms, max(round(valid_s / 3_600), 1))


def qr_image(text: str) -> str:
    """Return a QR code as an image in an address, to stand in the page itself."""
    return str(segno.make(text, error="l", micro=False, boost_error=False).svg_data_uri(border=2))

"""The PIN's page: choose one, open what was locked by it, and leave the clinic so that nothing of it stays.

A form that came while the page was locked is kept in it, and goes on by one press once the PIN was right.
"""

from collections.abc import Mapping

from aiohttp import web

from gateway.errors import N_, BadRequest, GatewayError
from gateway.portal.clinic_frame import PIN_PATH, ClinicFrame, Seat, said
from gateway.portal.credentials import Role
from gateway.portal.doorkeeper import Doorkeeper, Paused, Refused
from gateway.portal.sign_in import own_path

CLEAR = '"cache", "storage"'  # Clear-Site-Data §3.1; cookies would be those of the sites beside it, too
_PEOPLE = (Role.NURSE, Role.DOCTOR, Role.TECHNICIAN)
_KEPT = "kept."
_WRONG = N_("This is not right. After five wrong PINs you sign in anew.")
_NOT_SAME = N_("The two PINs are not the same.")
_WRONG_PASSWORD = N_("Your password is not right. Nothing was changed.")


class PinPages:
    """Locked, and open again."""

    def __init__(self, frame: ClinicFrame, doorkeeper: Doorkeeper) -> None:
        self._frame = frame
        self._doorkeeper = doorkeeper

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these pages."""
        return [
            web.get(PIN_PATH, self._show),
            web.post(PIN_PATH, self._change),
            web.post(f"{PIN_PATH}/abrir", self._open_by_script),
            web.post("/clinica/salir", self._leave),
        ]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        seat = self._frame.seat(request, *_PEOPLE)
        wanted = own_path(request.query.get("sigue", ""))
        if await self._frame.lock.is_locked(seat.session):
            return self._frame.render_pin(request, wanted, {})
        return await self._choice(request, seat)

    async def _change(self, request: web.Request) -> web.StreamResponse:
        seat = self._frame.seat(request, *_PEOPLE)
        form = await self._frame.identity.take_form(request)
        match form.get("do"):
            case "unlock":
                return await self._unlock(request, seat, form)
            case "choose" if not await self._frame.lock.is_locked(seat.session):
                return await self._choose(request, seat, form)
            case "lock":
                self._frame.lock.shut(seat.session)
                raise web.HTTPSeeOther(PIN_PATH)
        raise BadRequest(N_("The form could not be read."))

    async def _unlock(self, request: web.Request, seat: Seat, form: Mapping[str, str]) -> web.StreamResponse:
        wanted = own_path(form.get("next", ""))
        kept = {name.removeprefix(_KEPT): value for name, value in form.items() if name.startswith(_KEPT)}
        if await self._frame.lock.open(seat.account, seat.session, form.get("pin", ""), request.remote or ""):
            if kept and wanted:
                return self._frame.pages.render(
                    request, "pin.html", next=wanted, kept=kept, problem="", is_open=True, step="resume"
                )
            raise web.HTTPSeeOther(wanted or "/clinica")
        if await self._doorkeeper.who(seat.session) is None:
            raise web.HTTPSeeOther("/entrar?sigue=/clinica")
        return self._frame.render_pin(request, wanted, kept, seat.say(_WRONG), 403)

    async def _open_by_script(self, request: web.Request) -> web.StreamResponse:
        """Open what was locked without another page; the origin was looked at, and only who knows the PIN is heard."""
        seat = self._frame.seat(request, *_PEOPLE)
        form = await self._frame.identity.read_form(request)
        is_open = await self._frame.lock.open(seat.account, seat.session, form.get("pin", ""), request.remote or "")
        return web.Response(status=204 if is_open else 403)

    async def _choose(self, request: web.Request, seat: Seat, form: Mapping[str, str]) -> web.StreamResponse:
        refusal = await self._doorkeeper.confirm(seat.account, form.get("own", ""), request.remote or "")
        if isinstance(refusal, Refused | Paused):
            return await self._choice(request, seat, seat.say(_WRONG_PASSWORD), 403)
        if form.get("pin", "") != form.get("again", ""):
            return await self._choice(request, seat, seat.say(_NOT_SAME), 400)
        try:
            await self._frame.lock.choose(seat.account, form.get("pin", ""))
        except GatewayError as exc:
            return await self._choice(request, seat, said(seat, exc), exc.status)
        raise web.HTTPSeeOther("/clinica")

    async def _leave(self, request: web.Request) -> web.StreamResponse:
        seat = self._frame.seat(request, *_PEOPLE)
        await self._frame.identity.take_form(request)
        await self._doorkeeper.sign_out(seat.session)
        response = web.Response(status=303, headers={"Location": "/"})
        self._frame.identity.end(request, response)
        response.headers["Clear-Site-Data"] = CLEAR
        return response

    async def _choice(self, request: web.Request, seat: Seat, problem: str = "", status: int = 200) -> web.Response:
        return self._frame.pages.render(
            request,
            "pin.html",
            status=status,
            step="choose",
            problem=problem,
            has_pin=await self._frame.lock.has_pin(seat.account),
            has_password=await self._frame.lock.has_password(seat.account),
        )

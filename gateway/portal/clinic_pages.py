"""The clinic's pages put together: the village's, and what the door shows of them beside a call."""

from collections.abc import Callable

from aiohttp import web

from gateway.backhaul.sharing.admission import Admission
from gateway.clock import Clock
from gateway.portal.case_answer import CaseAnswers
from gateway.portal.case_door import CaseDoor
from gateway.portal.clinic_calls import CallPages
from gateway.portal.clinic_frame import ClinicDesk, ClinicFrame
from gateway.portal.clinic_lock import IdleLock
from gateway.portal.clinic_pin_page import PinPages
from gateway.portal.clinic_prescription import PrescriptionPage
from gateway.portal.clinic_today import TodayPages
from gateway.portal.clinic_visit import VisitPages
from gateway.portal.doorkeeper import Doorkeeper
from gateway.portal.identity import Identity
from gateway.portal.pages import Pages
from gateway.portal.record_files import RecordFiles
from gateway.portal.record_page import RecordPages
from gateway.portal.record_upload import Uploads


class ClinicPages:
    """Everything of the clinic but the call."""

    def __init__(
        self,
        pages: Pages,
        identity: Identity,
        doorkeeper: Doorkeeper,
        clock: Clock,
        admission: Callable[[], Admission],
        door_url: str,
        desk: ClinicDesk,
    ) -> None:
        lock = IdleLock(doorkeeper, clock, desk.idle_lock_s)
        frame = ClinicFrame(pages, identity, desk, lock, clock, admission, door_url)
        uploads, answers = Uploads(desk, identity), CaseAnswers(frame)
        self.files = RecordFiles(desk)
        self._door = CaseDoor(frame, answers, self.files)
        self._parts = (
            TodayPages(frame),
            PinPages(frame, doorkeeper),
            VisitPages(frame, uploads),
            RecordPages(frame, self.files, uploads),
            CallPages(frame),
            PrescriptionPage(frame),
            answers,
        )

    def routes(self) -> list[web.RouteDef]:
        """Return the village's side."""
        return [route for part in self._parts for route in part.routes()]

    def door_routes(self) -> list[web.RouteDef]:
        """Return the far doctor's side."""
        return self._door.routes()

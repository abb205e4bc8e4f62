"""What the settings say of consultations becomes the clinic: its room, its records, and who hands them over."""

import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from gateway.backhaul.dialer import Dialer
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clinic.handover.handover import Handover, handover
from gateway.clinic.handover.server import FhirServer
from gateway.clinic.invitation import ROLES, Invitation, read, sign
from gateway.clinic.media.control import Relay
from gateway.clinic.media.host import MediaHost, MediaLimits
from gateway.clinic.peer import MediaPath
from gateway.clinic.recordings.recordings import RecordingLimits, Recordings
from gateway.clinic.records.records import Records
from gateway.clinic.records.views import RecordLimits
from gateway.clinic.room import ClinicLimits, ClinicRoom
from gateway.clinic.turn import ice_servers, relays
from gateway.clinic.whip import Whip
from gateway.clock import Clock, boot_id
from gateway.data_folder import CLINIC_RECORDS_KEY, INVITATION_KEY, DataFolder
from gateway.exchange.exchange import DeliveryLimits
from gateway.portal.clinic_doctors import Doctor
from gateway.portal.clinic_frame import ClinicDesk
from gateway.settings import Settings, secret
from gateway.settings_clinic import Clinic

PEOPLE_MAX = 4
SOCKETS_PER_CALL = 2 * PEOPLE_MAX  # as many again for pages that wait or come back


@dataclass(frozen=True, slots=True)
class ClinicParts:
    """The clinic of a box."""

    room: ClinicRoom
    records: Records
    recordings: Recordings
    handover: Handover | None
    desk: ClinicDesk
    whip: Whip


def clinic_parts(
    settings: Settings,
    *,
    dialer: Dialer,
    media_path: MediaPath,
    clock: Clock,
    backhaul: Backhaul,
    folder: DataFolder,
) -> ClinicParts:
    """Return the clinic's parts, not started.

    Raises: CannotStart.
    """
    clinic, key = settings.clinic, folder.key_for(INVITATION_KEY)
    records = Records(
        folder=folder.path / "clinic",
        key=folder.key_for(CLINIC_RECORDS_KEY),
        clock=clock,
        boot=boot_id(),
        limits=RecordLimits(
            keep_days=clinic.keep_days,
            total_bytes_max=clinic.records_bytes_max,
            file_bytes_max=clinic.photo_bytes_max,
        ),
        recipient=clinic.recipient,
    )
    host = _host(settings, clock, backhaul)
    recordings = Recordings(
        folder=folder.path / "clinic" / "recordings",
        records=records,
        recorder=host,
        clock=clock,
        limits=RecordingLimits(
            is_on=clinic.recording,
            bytes_max=clinic.recording_bytes_max,
            keep_days=clinic.keep_days,
            hours=(clinic.recording_hours,),
        ),
        server=_recordings_server(settings, dialer, clock, backhaul),
        is_down=lambda: backhaul.is_down,
    )
    room = _room(settings, records, recordings, host, media_path=media_path, clock=clock, backhaul=backhaul, key=key)
    handing = _handover(settings, records, dialer, clock, backhaul)
    desk = _desk(settings, room, records, handing, clock, backhaul, key)
    whip = Whip(room, clock, origins=frozenset(clinic.whip_origins))
    return ClinicParts(room, records, recordings, handing, desk, whip)


def _room(
    settings: Settings,
    records: Records,
    recordings: Recordings,
    host: MediaHost,
    *,
    media_path: MediaPath,
    clock: Clock,
    backhaul: Backhaul,
    key: bytes,
) -> ClinicRoom:
    clinic = settings.clinic
    return ClinicRoom(
        key=key,
        clock=clock,
        backhaul=backhaul,
        media_path=media_path,
        host=host,
        limits=ClinicLimits(
            link_s=clinic.link_s,
            video_bps_max=clinic.video_bps_max,
            calls_max=clinic.calls_max,
            codecs=clinic.video_codecs,
            doubles_voices=True,
            sockets_max=SOCKETS_PER_CALL * clinic.calls_max,
            check_bytes_max=clinic.check_bytes_max,
        ),
        records=records,
        recordings=recordings,
        relays=_relays(clinic, clock),
    )


def _host(settings: Settings, clock: Clock, backhaul: Backhaul) -> MediaHost:
    clinic = settings.clinic
    first, _, last = clinic.media_ports.partition("-")
    return MediaHost(
        MediaLimits(
            legs_max=2 * PEOPLE_MAX * clinic.calls_max,  # those that end beside those that begin
            first_port=int(first or 0),
            last_port=int(last or 0),
            marked=settings.backhaul.marks,
        ),
        now_s=clock.now_s,
        ear=backhaul.steering.measuring,
    )


def _recordings_server(settings: Settings, dialer: Dialer, clock: Clock, backhaul: Backhaul) -> FhirServer | None:
    """Return where recordings go; nothing is dialled before there is one."""
    clinic = settings.clinic
    if clinic.fhir is None:
        return None
    return FhirServer(
        clinic.fhir,
        token=secret(None, clinic.fhir_token_file),
        dialer=dialer,
        backhaul=backhaul,
        clock=clock,
        box_name=settings.box.name,
        limits=DeliveryLimits(),
    )


def _relays(clinic: Clinic, clock: Clock) -> Callable[[], tuple[Relay, ...]]:
    shared = secret(None, clinic.turn_secret_file) or ""
    return lambda: relays(clinic.turn, shared, clock.wall_s())


def _handover(
    settings: Settings, records: Records, dialer: Dialer, clock: Clock, backhaul: Backhaul
) -> Handover | None:
    clinic = settings.clinic
    if clinic.fhir is None:
        return None
    return handover(
        records,
        base_url=clinic.fhir,
        token=secret(None, clinic.fhir_token_file),
        dialer=dialer,
        backhaul=backhaul,
        clock=clock,
        box_name=settings.box.name,
        answers_s=clinic.answers_s,
        random=random.Random(secrets.randbits(64)),  # noqa: S311 - jitter
    )


def _desk(
    settings: Settings,
    room: ClinicRoom,
    records: Records,
    handing: Handover | None,
    clock: Clock,
    backhaul: Backhaul,
    key: bytes,
) -> ClinicDesk:
    clinic = settings.clinic

    def sign_link(consultation: str, role: str, link_s: float) -> str:
        expires_s = int(clock.wall_s() + link_s)
        return sign(key, Invitation(consultation, next(each for each in ROLES if each == role), expires_s))

    return ClinicDesk(
        records=records,
        calls=room,
        sign=sign_link,
        read=lambda token: read(key, token, clock.wall_s()),
        send_now=handing.send_now if handing is not None else lambda: None,
        ice_servers=lambda: ice_servers(room.relays()),
        far=lambda: backhaul.share(TrafficClass.INTERACTIVE),
        doctors=tuple(Doctor(each.name, each.speciality, each.hours, each.phone) for each in clinic.doctors),
        link_s=clinic.link_s,
        idle_lock_s=clinic.idle_lock_s,
        file_bytes_max=clinic.photo_bytes_max,
        may_record=clinic.recording,
    )

"""What there is to set about consultations and their records."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.errors import N_
from gateway.hours import parse_hours
from gateway.settings_types import DayHours, HttpUrl, Listen, LocalPath, Section, Whole
from gateway.units import Address

Origin = Annotated[str, Field(pattern=r"^https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?$")]
Codec = Literal["vp8", "h264", "vp9", "av1"]
TurnUrl = Annotated[str, Field(pattern=r"^turns?:[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?(\?transport=(udp|tcp))?$")]


class Doctor(Section):
    """A doctor whom the clinic may call."""

    name: str = Field(min_length=1, max_length=60, description=N_("the doctor's name, 1 to 60 characters"))
    speciality: str = Field(
        default="", max_length=60, description=N_("what the doctor is asked about"), examples=["Pediatrics"]
    )
    hours: tuple[DayHours, ...] = Field(
        default=(),
        description=N_("a list of hours of the box's local time in which the doctor can be called, over midnight too"),
        examples=[["08:00-13:00", "15:00-18:00"]],
    )
    phone: str = Field(
        default="",
        pattern=r"^(\+?[0-9 ]{3,24})?$",
        description=N_("the doctor's phone number in digits, with a + before the country's"),
        examples=["+51 987 654 321"],
    )


class Clinic(Section):
    """Consultations by video."""

    door: Listen = Field(
        default=Address("0.0.0.0", 8444),
        description=N_("an address and a port, where the far party's browser comes in"),
        examples=["0.0.0.0:8444"],
    )
    door_url: HttpUrl | None = Field(
        default=None,
        description=N_("the address of the door as the doctor's browser sees it"),
        examples=["https://tambo.example.org:8444"],
    )
    link_s: Whole = Field(
        default=7_200,
        ge=60,
        le=604_800,
        description=N_("seconds until a consultation's links expire, 60 to 604800"),
        examples=[7_200],
    )
    video_bps_max: Whole = Field(
        default=700_000,
        ge=30_000,
        le=10_000_000,
        description=N_("the most one picture may take in bits per second, 30000 to 10000000"),
        examples=[700_000],
    )
    calls_max: Whole = Field(
        default=4, ge=1, le=100, description=N_("how many consultations may run at once, 1 to 100"), examples=[4]
    )
    check_bytes_max: Whole = Field(
        default=65_536,
        ge=0,
        le=1_048_576,
        description=N_("bytes sent at once each way to see what the link carries before a call, 0 (none) to 1048576"),
        examples=[65_536],
    )
    media_ports: str = Field(
        default="",
        pattern=r"^([0-9]{4,5}-[0-9]{4,5})?$",
        description=N_("the UDP ports media uses, from-to; absent: any free port"),
        examples=["40000-40199"],
    )
    video_codecs: tuple[Codec, ...] = Field(
        default=("vp8", "h264", "vp9"),
        min_length=1,
        description=N_("a list of vp8, h264, vp9 and av1, the preferred one first"),
        examples=[["vp8", "h264"]],
    )
    turn: tuple[TurnUrl, ...] = Field(
        default=(),
        max_length=4,
        description=N_("a list of relays, as turn:host:port, turn:host:port?transport=tcp or turns:host:port"),
        examples=[["turn:relay.example.org:3478"]],
    )
    turn_secret_file: LocalPath | None = Field(
        default=None,
        description=N_("a file with the secret that the relays share with this box (coturn: static-auth-secret)"),
        examples=["secrets/turn"],
    )
    whip_origins: tuple[Origin, ...] = Field(
        default=(),
        max_length=8,
        description=N_("a list of other origins whose pages may publish by WHIP and watch by WHEP"),
        examples=[["https://viewer.example.org"]],
    )
    keep_days: Whole = Field(
        default=30,
        ge=1,
        le=3_650,
        description=N_("days for which a record stays on the box after it was handed over, 1 to 3650"),
        examples=[30],
    )
    records_bytes_max: Whole = Field(
        default=2_000_000_000,
        ge=10_000_000,
        le=1_000_000_000_000,
        description=N_("bytes of disk for records and their photos in all, 10000000 to 1000000000000"),
        examples=[2_000_000_000],
    )
    photo_bytes_max: Whole = Field(
        default=12_000_000,
        ge=100_000,
        le=100_000_000,
        description=N_("the largest photo or voice note of a record in bytes, 100000 to 100000000"),
        examples=[12_000_000],
    )
    idle_lock_s: Whole = Field(
        default=300,
        ge=30,
        le=86_400,
        description=N_("seconds without a touch until the clinic's pages ask for the PIN, 30 to 86400"),
        examples=[300],
    )
    fhir: HttpUrl | None = Field(
        default=None,
        description=N_("the base address of the FHIR R4 server that records are handed to"),
        examples=["https://fhir.example.org/r4"],
    )
    fhir_token_file: LocalPath | None = Field(
        default=None, description=N_("a file that holds the FHIR server's bearer token"), examples=["secrets/fhir"]
    )
    recipient: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9_-]{43})?$",
        description=N_("the receiving side's public key, 43 characters: what was handed over is sealed to it"),
        examples=["2vYl3Jm0Q5yqX0i0C2w4r0mY1m7lJx4pN8n7o3nF0aE"],
    )
    answers_s: float = Field(
        default=120.0,
        ge=10,
        le=86_400,
        description=N_("seconds between two looks for doctors' answers, 10 to 86400"),
        examples=[120.0],
    )
    recording: bool = Field(
        default=False,
        description=N_("whether a nurse may record a call that the patient agreed to have recorded: true or false"),
        examples=[False],
    )
    recording_bytes_max: Whole = Field(
        default=4_000_000_000,
        ge=10_000_000,
        le=1_000_000_000_000,
        description=N_("bytes of disk for all recordings on the box, 10000000 to 1000000000000"),
        examples=[4_000_000_000],
    )
    recording_hours: DayHours = Field(
        default=parse_hours("01:00-05:00"),
        description=N_("the hours of the box's local time in which recordings are uploaded, over midnight too"),
        examples=["01:00-05:00"],
    )
    doctors: tuple[Doctor, ...] = Field(
        default=(), max_length=50, description=N_("a list of tables with name, speciality, hours and phone")
    )

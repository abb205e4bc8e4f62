"""Why a photo is not taken, in sentences; whatever is refused, what was there before is there still. Pure.

Source: RFC 9110 §15.5.10 (409), §15.5.12 (411), §15.5.16 (415), §15.5.21 (422), §10.2.3 (Retry-After).
"""

from gateway.errors import N_, BadRequest, Conflict, NoCapacity, NotFound, TooLarge

RETRY_AFTER_S = 600  # by then the link has taken some photos away, or not: there is no hurry


class LengthNeeded(BadRequest):
    """Nobody said how large the photo is."""

    status = 411
    code = "length-needed"
    what = N_("It was not said how large the photo is.")
    advice = N_("Send it with Content-Length, or with Content-Range.")


class WrongKind(BadRequest):
    """It is no photo, and no document, that is taken here."""

    status = 415
    code = "wrong-kind"
    what = N_("Only photos (JPEG, PNG, WebP, HEIC) and PDF documents can go with an order.")
    advice = N_("Take the photo again, or save the document as PDF.")


class OtherContent(BadRequest):
    """The whole does not match its name."""

    status = 422
    code = "other-content"
    what = N_("The photo did not arrive as it was sent.")
    advice = N_("What had arrived was thrown away. Send the photo again from its beginning.")


class Stalled(BadRequest):
    """The body did not go on."""

    status = 408
    code = "stalled"
    what = N_("The photo stopped arriving.")
    advice = N_("What arrived is kept. Send the rest.")


class Gap(Conflict):
    """It does not go on where what is here ends; the answer says where that is."""

    code = "wrong-offset"
    what = N_("A part of the photo between what is here and what was sent is missing.")
    advice = N_("Ask how much has arrived, and go on from there.")

    def __init__(self, offset_bytes: int) -> None:
        super().__init__()
        self.headers["Upload-Offset"] = str(offset_bytes)


class Superseded(Conflict):
    """The same photo is being sent over another connection by now."""

    code = "superseded"
    what = N_("The photo is being sent a second time.")
    advice = N_("What arrived is kept. The newer try goes on.")


class NoPhoto(NotFound):
    """There is none by this name, or it is not whole, or it is another merchant's."""

    what = N_("There is no photo by this name.")
    advice = N_("Check the address; only your own photos are shown.")


def too_large(limit_bytes: int) -> TooLarge:
    """Return the refusal of a photo over the limit."""
    return TooLarge(
        N_("The photo is larger than %(limit)d bytes."), N_("Make it smaller and send it again."), limit=limit_bytes
    )


def no_room() -> NoCapacity:
    """Return the refusal of a photo for which there is no room; the order does not need it."""
    return _later(
        NoCapacity(
            N_("There is no room for more photos until some have been sent."),
            N_("The order goes without waiting for it. Keep the photo and send it later."),
        )
    )


def too_busy() -> NoCapacity:
    """Return the refusal of one upload more than are taken at once."""
    return _later(NoCapacity(N_("Too many photos arrive at once."), N_("Wait a minute, then send it again.")))


def disk_fails() -> NoCapacity:
    """Return the refusal when the disk did not take or give what was asked."""
    return _later(
        NoCapacity(
            N_("The box could not write or read the photo."), N_("Keep it and send it later; tell the technician.")
        )
    )


def _later(error: NoCapacity) -> NoCapacity:
    error.headers["Retry-After"] = str(RETRY_AFTER_S)
    return error

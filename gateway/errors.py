"""Every failure Tambo plans for is one tree, says whose fault it is, and speaks in sentences.

    GatewayError                500  something failed; `what` and `advice` are sentences for a person
    ├── PeerError               400  the other side (browser, origin, device, hub) broke a rule
    │   ├── BadRequest          400  a request we cannot make sense of
    │   ├── NotSignedIn         401  who is asking is not known
    │   ├── NotAllowed          403  who is asking may not do this
    │   ├── NotFound            404  there is nothing by this name
    │   ├── WrongMethod         405  the thing is there, this method is not
    │   ├── Conflict            409  the same id with other content
    │   ├── TooLarge            413  over a limit that is a setting
    │   ├── WrongHost           421  a host name this listener does not serve
    │   ├── TooMany             429  asked too often
    │   └── OriginFault         502  an origin answered nonsense, or refused us
    └── LocalError              500  we broke a rule of our own, or the box lacks something
        ├── LinkDown            504  the link carries nothing now, and the answer is not stored
        ├── NoCapacity          503  a limit of ours is reached
        └── CannotStart         500  the box cannot start; the sentence says why

A sentence never repeats what the other side sent (reflected input is an attack, and may be private). `what` and
`advice` are message ids, marked with `N_` where they are written and translated where they are shown; `values` fill
their named places and hold only what this box made (numbers, limits, names from its own settings).
"""

from typing import ClassVar


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for "mark, translate later"
    """Mark `message` for extraction; it is translated where it is shown."""
    return message


class GatewayError(Exception):
    """Something failed that was planned for; carries a sentence, the next step and an HTTP status."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    what: str = N_("Something went wrong inside the box.")
    advice: str = N_("Try again in a minute; if it happens again, tell the technician.")

    def __init__(self, what: str | None = None, advice: str | None = None, **values: object) -> None:
        self.what = what or type(self).what
        self.advice = advice or type(self).advice
        self.values = values
        self.headers: dict[str, str] = {}  # that its answer carries, besides those of every refusal
        super().__init__(self.what % values if values else self.what)


class PeerError(GatewayError):
    """The other side broke a rule."""

    status = 400
    code = "peer"
    what = N_("The request could not be understood.")
    advice = N_("Go back and try once more.")


class BadRequest(PeerError):
    """A request we cannot make sense of."""

    code = "bad-request"


class NotSignedIn(PeerError):
    """Who is asking is not known."""

    status = 401
    code = "not-signed-in"
    what = N_("You need to sign in for this.")
    advice = N_("Sign in and try again.")


class NotAllowed(PeerError):
    """Who is asking may not do this."""

    status = 403
    code = "not-allowed"
    what = N_("This is not allowed here.")
    advice = N_("If you need it, ask the technician of the box.")


class NotFound(PeerError):
    """There is nothing by this name."""

    status = 404
    code = "not-found"
    what = N_("There is nothing at this address.")
    advice = N_("Check the address, or begin at the start page.")


class WrongMethod(PeerError):
    """The thing is there, but not for this method."""

    status = 405
    code = "wrong-method"
    what = N_("This cannot be done at this address.")
    advice = N_("Go back and try once more.")


class Conflict(PeerError):
    """The same id came again with other content."""

    status = 409
    code = "conflict"
    what = N_("This was already recorded with other content.")
    advice = N_("Nothing was changed. Make a new one.")


class TooLarge(PeerError):
    """Over a limit that is a setting."""

    status = 413
    code = "too-large"
    what = N_("This is larger than the box accepts.")
    advice = N_("Send less at once.")


class WrongHost(PeerError):
    """A host name this listener does not serve."""

    status = 421
    code = "wrong-host"
    what = N_("This box does not serve that site.")
    advice = N_("Open the start page of the box to see what it offers.")


class TooMany(PeerError):
    """Asked too often."""

    status = 429
    code = "too-many"
    what = N_("That was asked too often.")
    advice = N_("Wait a minute, then try again.")


class OriginFault(PeerError):
    """An origin answered nonsense, or refused us."""

    status = 502
    code = "origin-fault"
    what = N_("The site could not be reached or answered wrongly.")
    advice = N_("The link of the village works; try this site again later.")


class LocalError(GatewayError):
    """We broke a rule of our own, or the box lacks something."""

    code = "local"


class LinkDown(LocalError):
    """The link carries nothing now, and what was asked for is not stored."""

    status = 504
    code = "link-down"
    what = N_("The village's link is down, and this page is not stored here yet.")
    advice = N_("Pages that were visited before still open. Try this one again when the link is back.")


class NoCapacity(LocalError):
    """A limit of ours is reached."""

    status = 503
    code = "no-capacity"
    what = N_("The box is busy.")
    advice = N_("Wait a minute, then try again.")


class CannotStart(LocalError):
    """The box cannot start; the sentence says why."""

    code = "cannot-start"
    what = N_("The box cannot start.")
    advice = N_("Mend what is named and start it again.")

"""What fails between a browser and an origin, beside what `gateway.errors` names for every room."""

from gateway.errors import N_, OriginFault, PeerError


class OriginSilent(OriginFault):
    """An origin did not connect or answer in time, though the link is not known to be down."""

    status = 504
    code = "origin-silent"
    what = N_("The site does not answer.")
    advice = N_("The site or the village's link may be slow. Try again in a minute.")


class NotStored(PeerError):
    """The browser wanted only what is stored, and this is not (RFC 9111 §5.2.1.7)."""

    status = 504
    code = "not-stored"
    what = N_("This page is not stored here.")
    advice = N_("Open it without asking for the stored copy only.")


class Loop(PeerError):
    """A request came back to the box that had sent it on."""

    status = 508
    code = "loop"
    what = N_("This request goes round in a circle.")
    advice = N_("Tell the technician: a site's address leads back to this box.")


class BodyBroken(Exception):
    """A body ended before its end; whoever had a part of it must not take it for the whole."""

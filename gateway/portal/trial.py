"""What a visitor of the demo is invited to try, shown on the start page; a real box shows nothing of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trial:
    """A page, an order and a call, each a link, and the command that cuts the link."""

    page_url: str
    order_url: str
    nurse_url: str
    doctor_url: str
    cut_command: str

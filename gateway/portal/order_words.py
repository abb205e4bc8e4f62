"""Where an order stands, in words: honest about what is only recorded here and what has arrived. Pure."""

from dataclasses import dataclass

from gateway.errors import N_
from gateway.market.records import OrderView
from gateway.market.states import State


@dataclass(frozen=True, slots=True)
class OrderWords:
    """A state's name, what it means, and its colour; both texts are message ids."""

    name: str
    meaning: str
    tone: str


_KEPT_HERE = OrderWords(
    N_("Recorded here, not sent yet"),
    N_("The order is safe on this box. It leaves by itself when the link allows; you need do nothing."),
    "care",
)
_WORDS = {
    State.RECORDED: _KEPT_HERE,
    State.QUEUED: _KEPT_HERE,
    State.SENDING: OrderWords(
        N_("On its way"),
        N_("It was sent; the marketplace has not confirmed it yet. If the answer is lost it is asked for again."),
        "care",
    ),
    State.ACCEPTED: OrderWords(
        N_("Arrived"), N_("The marketplace confirmed it. It was taken in exactly once."), "good"
    ),
    State.NEEDS_ATTENTION: OrderWords(
        N_("Needs a person"), N_("It was not sent. Show this page to the technician of the box."), "bad"
    ),
    State.REJECTED: OrderWords(
        N_("Refused"), N_("The marketplace refused it, so it has no effect. You can write a new order."), "bad"
    ),
}


def in_words(order: OrderView) -> OrderWords:
    """Return what to say of an order."""
    return _WORDS[order.state]

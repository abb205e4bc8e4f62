"""Where an order stands, in words: honest about what is only recorded here and what has arrived. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.errors import N_
from gateway.market.attention import Code
from gateway.market.order import Method
from gateway.market.records import OrderView
from gateway.market.states import SETTLED, WAITING, State


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
_DECIDE = N_("You decide")
_WORDS: Mapping[State, OrderWords] = MappingProxyType(
    {
        State.RECORDED: _KEPT_HERE,
        State.QUEUED: _KEPT_HERE,
        State.SENDING: OrderWords(
            N_("On its way"),
            N_("It was sent; the marketplace has not confirmed it yet. If the answer is lost it is asked for again."),
            "care",
        ),
        State.AT_HUB: OrderWords(
            N_("Over the link, not there yet"),
            N_("It has left the village and is kept on the way; the marketplace has not answered yet."),
            "care",
        ),
        State.ACCEPTED: OrderWords(
            N_("Arrived"), N_("The marketplace confirmed it. It was taken in exactly once."), "good"
        ),
        State.NEEDS_ATTENTION: OrderWords(_DECIDE, N_("The marketplace could not take it as it is."), "bad"),
        State.REJECTED: OrderWords(
            N_("Refused"), N_("The marketplace refused it, so it has no effect. You can write a new order."), "bad"
        ),
        State.FULFILLED: OrderWords(
            N_("Handed over"), N_("The goods were handed over. Nothing is left to do."), "good"
        ),
        State.CANCELLED: OrderWords(N_("Cancelled"), N_("It is not wanted any more and has no effect."), ""),
    }
)
_ATTENTION: Mapping[Code, OrderWords] = MappingProxyType(
    {
        Code.PRICE_CHANGED: OrderWords(
            N_("A price changed"), N_("The marketplace has another price now. Nothing is sold until you agree."), "bad"
        ),
        Code.OUT_OF_STOCK: OrderWords(
            N_("Not enough left"), N_("The marketplace has less than was ordered. You decide how it goes on."), "bad"
        ),
        Code.UNKNOWN_ARTICLE: OrderWords(
            N_("An article is not known"), N_("The marketplace does not offer one of the articles any more."), "bad"
        ),
        Code.MERCHANT_BLOCKED: OrderWords(
            N_("The shop is blocked"),
            N_("The marketplace takes no orders from this shop now. Call it; then send the order once more."),
            "bad",
        ),
        Code.UNDELIVERABLE: OrderWords(
            N_("Could not be delivered"),
            N_("It was sent several times and never taken, so it waits apart from the others. Nothing is lost."),
            "bad",
        ),
        Code.CHANGE_NOT_TAKEN: OrderWords(
            N_("The change was not taken"),
            N_("The marketplace has the order as it was before, and does not change it. Call it to agree what holds."),
            "bad",
        ),
        Code.DAMAGED: OrderWords(
            N_("Needs a technician"), N_("It was not sent. Show this page to the technician of the box."), "bad"
        ),
        Code.OTHER: OrderWords(_DECIDE, N_("The marketplace could not take it as it is."), "bad"),
    }
)
METHODS: Mapping[Method, str] = MappingProxyType(
    {
        Method.CASH_ON_DELIVERY: N_("Cash on delivery"),
        Method.CREDIT: N_("On credit, noted"),
        Method.MOBILE_MONEY: N_("Mobile money, claimed and checked later"),
    }
)
STEP_NAMES: Mapping[State, str] = MappingProxyType(
    {
        State.RECORDED: N_("Recorded on this box"),
        State.QUEUED: N_("Waits for the link"),
        State.SENDING: N_("Sent"),
        State.AT_HUB: N_("Over the link, not there yet"),
        State.ACCEPTED: N_("Arrived"),
        State.NEEDS_ATTENTION: N_("A person must decide"),
        State.REJECTED: N_("Refused"),
        State.FULFILLED: N_("Handed over"),
        State.CANCELLED: N_("Cancelled"),
    }
)
_CANCELLING = OrderWords(
    N_("Being cancelled"), N_("It may have left already: that it is not wanted goes after it, by itself."), "care"
)
_AGAIN = frozenset({Code.MERCHANT_BLOCKED, Code.UNDELIVERABLE, Code.CHANGE_NOT_TAKEN, Code.OTHER})


def in_words(order: OrderView) -> OrderWords:
    """Return what to say of an order."""
    if order.is_cancelled and order.state in WAITING:
        return _CANCELLING
    if order.state is State.NEEDS_ATTENTION and order.attention is not None:
        return _ATTENTION[order.attention.code]
    return _WORDS[order.state]


def state_words(state: State) -> OrderWords:
    """Return what to say of a state."""
    return _WORDS[state]


def may_change(order: OrderView) -> bool:
    """Say whether an order can still be another one."""
    if order.is_damaged or order.is_cancelled:
        return False
    return order.state not in {State.FULFILLED, State.CANCELLED, State.REJECTED}


def may_go_again(order: OrderView) -> bool:
    """Say whether sending an order once more, as it is, could help."""
    if order.is_damaged:
        return False
    if order.state is State.NEEDS_ATTENTION:
        return order.attention is None or order.attention.code in _AGAIN
    return order.state is State.REJECTED


def is_waiting(order: OrderView) -> bool:
    """Say whether an order goes on by itself."""
    return order.state not in SETTLED | {State.NEEDS_ATTENTION}

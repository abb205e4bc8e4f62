"""What an answer's fields say when its content goes out as it came, and when a browser has it already. Pure.

A browser may hold the original or a picture as it was made smaller here; each has its tag, and either is as good.
"""

from dataclasses import dataclass

from gateway.web.rules.asking import Ask
from gateway.web.rules.fields import Fields, combined
from gateway.web.rules.validating import holds_already
from gateway.web.saver.coding import Recoding, recoded, recoding, untouchable
from gateway.web.saver.pictures import Policy, negotiated, smaller, touchable, wish_of


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of an answer without its body; `told` are its fields as they go to this browser."""

    status: int
    told: Fields
    size_bytes: int | None
    received_s: float


def as_it_came(ask: Ask, policy: Policy, answer: Answer) -> Fields:
    """Return the fields of an answer in its original content: of a picture, that others may get another."""
    return negotiated(answer.told) if _is_picture(ask, policy, answer) else answer.told


def told_304(ask: Ask, policy: Policy, answer: Answer) -> Fields | None:
    """Return what a 304 tells a browser that holds this answer, in the original or as we made it; else None."""
    told = answer.told
    if holds_already(ask.fields, answer.status, told, answer.received_s):
        return recoded(as_it_came(ask, policy, answer), recoding_for(ask, told, answer.size_bytes))
    wish = wish_of(policy, ask.fields) if _is_picture(ask, policy, answer) else None
    fields = smaller(told, wish, "") if wish else told
    return fields if holds_already(ask.fields, answer.status, fields, answer.received_s) else None


def _is_picture(ask: Ask, policy: Policy, answer: Answer) -> bool:
    return touchable(policy, ask.url, answer.status, answer.told, answer.size_bytes)


def recoding_for(ask: Ask, told: Fields, size_bytes: int | None) -> Recoding:
    """Return what is done to a body with these fields for the browser that asks."""
    return recoding(told, size_bytes, combined(ask.fields, "accept-encoding"), bare=untouchable(ask.fields))

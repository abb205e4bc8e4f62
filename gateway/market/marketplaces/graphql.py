"""A GraphQL answer is read by what stands in it: data, errors by their codes, and refusals that are data. Pure.

An answer with errors can hold data as well, and a mutation among several may have taken effect although another failed:
what is there is asked for again, never concluded. A union's member that is a refusal names itself with `errorCode`.

Source: GraphQL specification, October 2021, §7.1 (response format), §6.2.2 (mutations run one after another).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.document import canonical

ERRORS_MAX = 20


@dataclass(frozen=True, slots=True)
class Refusal:
    """A mutation's typed no."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answer says; `errors` are codes, "" for one without."""

    data: Mapping[str, object]
    errors: tuple[str, ...] = ()
    wall_s: float | None = None  # when it was given, by the far end's clock

    @property
    def refusal(self) -> Refusal | None:
        """The first refusal among the mutations' answers."""
        for value in self.data.values():
            code, message = at(value, "errorCode"), at(value, "message")
            if isinstance(code, str):
                return Refusal(code, message if isinstance(message, str) else "")
        return None


def request(document: str, variables: Mapping[str, object]) -> bytes:
    """Return a request's body."""
    return canonical({"query": document, "variables": dict(variables)})


def read_reply(answer: object, wall_s: float | None) -> Reply | None:
    """Return what an answer's document says; None when it is no GraphQL answer."""
    data, errors = at(answer, "data"), at(answer, "errors")
    if not isinstance(data, dict) and not isinstance(errors, list):
        return None
    codes = [at(each, "extensions", "code") for each in items(errors)[:ERRORS_MAX]]
    return Reply(
        data if isinstance(data, dict) else {}, tuple(code if isinstance(code, str) else "" for code in codes), wall_s
    )


def at(value: object, *names: str) -> object:
    """Return what stands at a path; None where there is nothing.

    >>> at({"a": {"b": 1}}, "a", "b"), at({"a": []}, "a", "b")
    (1, None)
    """
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def items(value: object) -> list[object]:
    """Return a list, or an empty one in place of anything else."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """Return text, or "" in place of anything else."""
    return value if isinstance(value, str) else ""


def whole(value: object) -> int | None:
    """Return a whole number, or None in place of anything else.

    >>> whole(3), whole(True), whole(3.5)
    (3, None, None)
    """
    return value if isinstance(value, int) and not isinstance(value, bool) else None

"""A JSON document is read strictly: what two readers could understand differently is refused. Pure.

Duplicate names (RFC 8259 §4 leaves them open), NaN and infinities (§6 has none), invalid UTF-8 (§8.1), numbers longer
than any quantity of ours, and nesting deeper than any document of ours are faults. Nothing of the input is repeated.
"""

import json
import re
from collections.abc import Iterable

from gateway.errors import N_, BadRequest, TooLarge

DEPTH_MAX = 8  # our deepest document, a batch of orders, has 5 levels
NUMBER_CHARS_MAX = 32  # an int of 64 bits has 20, a double 24
_TOKENS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def read_document(document: bytes, bytes_max: int, depth_max: int = DEPTH_MAX) -> object:
    """Return what a JSON document says.

    Raises: TooLarge, BadRequest.

    >>> read_document(b'{"sku": "papa", "quantity": "1.5"}', 1_000)
    {'sku': 'papa', 'quantity': '1.5'}
    """
    if len(document) > bytes_max:
        raise TooLarge(N_("The document is larger than %(limit)d bytes."), N_("Send less at once."), limit=bytes_max)
    try:
        text = document.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BadRequest(N_("The document is not UTF-8 text."), N_("Send it as JSON in UTF-8.")) from exc
    if _depth(text) > depth_max:
        raise BadRequest(
            N_("The document is nested deeper than %(limit)d levels."), N_("Send it flatter."), limit=depth_max
        )
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse, parse_int=_integer, parse_float=_decimal
        )
    except (ValueError, RecursionError) as exc:
        raise BadRequest(N_("The document is not valid JSON."), N_("Check how it is written.")) from exc


def canonical(value: object) -> bytes:
    """Return the one way to write a document of strings, integers, lists and objects with ASCII names.

    Source: RFC 8785 §3.2 (our documents have no other numbers, so its rule for them is not needed).

    >>> canonical({"b": 1, "a": "ñ"}).decode()
    '{"a":"ñ","b":1}'
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode()


def _depth(text: str) -> int:
    deepest = depth = 0
    for token in _TOKENS.finditer(text):
        if token[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in "]}":
            depth -= 1
    return deepest


def _unique(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise BadRequest(N_("A name stands twice in the same object."), N_("Send each name once."))
        found[name] = value
    return found


def _refuse(constant: str) -> object:
    del constant
    raise ValueError("not a JSON number")


def _integer(digits: str) -> int:
    return int(_short(digits))


def _decimal(digits: str) -> float:
    return float(_short(digits))


def _short(digits: str) -> str:
    if len(digits) > NUMBER_CHARS_MAX:
        raise ValueError("too long a number")
    return digits

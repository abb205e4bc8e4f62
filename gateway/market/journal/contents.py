"""What the journal's rows hold under lock: an order's document, and what was said with an event."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from gateway.document import canonical, read_document
from gateway.durable.vault import PLAIN_BYTES_MAX, NotOpened, Vault
from gateway.errors import GatewayError
from gateway.market.attention import Attention, Code, Remark, read_remarks, write_remarks
from gateway.market.order import Order


@dataclass(frozen=True, slots=True)
class Detail:
    """What was said with an event: why, what a person must decide, when the order arrived by the far side's clock."""

    reason: str = ""
    attention: Attention | None = None
    arrived_at: str = ""


_NOTHING = Detail()


def lock_order(vault: Vault, fields: Mapping[str, object], order_id: str, revision: int) -> bytes:
    """Return an order's document as it lies on the disk."""
    return vault.lock(canonical(fields), document_place(order_id, revision))


def open_order(vault: Vault, locked: bytes, order_id: str, revision: int) -> Order | None:
    """Return the order of a locked document; None when it is damaged, or written by rules that are not ours."""
    try:
        return Order.model_validate_json(vault.open(locked, document_place(order_id, revision)))
    except (NotOpened, ValidationError):
        return None


def lock_detail(vault: Vault, detail: Detail, order_number: int, sequence: int) -> bytes:
    """Return what was said with an event as it lies on the disk; nothing where nothing was said."""
    if detail == _NOTHING:
        return b""
    attention = detail.attention
    words: dict[str, object] = {
        "reason": detail.reason,
        "arrived_at": detail.arrived_at,
        **({"code": attention.code, "lines": write_remarks(attention.remarks)} if attention else {}),
    }
    return vault.lock(canonical(words), f"event {order_number} {sequence}")


def open_detail(vault: Vault, locked: bytes, order_number: int, sequence: int) -> Detail:
    """Return what was said with an event; nothing when that is damaged."""
    if not locked:
        return _NOTHING
    try:
        words = read_document(vault.open(locked, f"event {order_number} {sequence}"), PLAIN_BYTES_MAX)
    except (NotOpened, GatewayError):
        return _NOTHING
    if not isinstance(words, dict):
        return _NOTHING
    attention = Attention(Code(words["code"]), _remarks(words)) if "code" in words else None
    return Detail(str(words.get("reason", "")), attention, str(words.get("arrived_at", "")))


def document_place(order_id: str, revision: int) -> str:
    """Return where a document belongs, which it is bound to."""
    return f"order {order_id} {revision}"


def _remarks(words: dict[str, object]) -> tuple[Remark, ...]:
    return read_remarks(words.get("lines"))

"""A voice sent twice (RED): its newest block is found, and its blocks' types are said in the receiver's numbers. Pure.

Source: RFC 2198 §3 (headers: F 1 bit, type 7; then, but for the last block, timestamp offset 14 and length 10).
"""

BLOCKS_MAX = 8  # browsers send one or two


def read_red(payload: bytes) -> tuple[int, int] | None:
    """Return how many redundant blocks there are, and where the primary one begins; None when it is not RED."""
    at = skipped_bytes = 0
    for blocks in range(BLOCKS_MAX + 1):
        if at >= len(payload):
            return None
        if not payload[at] & 0x80:
            primary_at = at + 1 + skipped_bytes
            return (blocks, primary_at) if primary_at <= len(payload) else None
        if at + 4 > len(payload):
            return None
        skipped_bytes += (payload[at + 2] & 0x03) << 8 | payload[at + 3]
        at += 4
    return None


def primary_of(payload: bytes, payload_type: int) -> bytes | None:
    """Return the newest block; None when the payload is not RED, or one of its blocks is of another type."""
    found = read_red(payload)
    if found is None:
        return None
    blocks, primary_at = found
    if any(payload[4 * block] & 0x7F != payload_type for block in range(blocks + 1)):
        return None
    return payload[primary_at:]


def retyped(payload: bytes, payload_type: int) -> bytes:
    """Return what `primary_of` took, with every block of this type."""
    found = read_red(payload)
    if found is None or payload[0] & 0x7F == payload_type:
        return payload
    changed = bytearray(payload)
    for block in range(found[0] + 1):
        changed[4 * block] = changed[4 * block] & 0x80 | payload_type
    return bytes(changed)

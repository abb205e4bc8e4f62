"""A rendition is an answer's body in another form, kept beside it; what was tried in vain is kept as that. Pure."""

from dataclasses import dataclass

_TYPE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Rendition:
    """A body in another form: its media type, nothing where that is the original's, and its bytes.

    Without bytes it says that the original is the better one.
    """

    media_type: str
    data: bytes

    def __bool__(self) -> bool:
        return bool(self.data)


IN_VAIN = Rendition("", b"")


def written(rendition: Rendition) -> bytes:
    """Return a rendition as bytes to be kept."""
    return rendition.media_type.encode().ljust(_TYPE_BYTES) + rendition.data


def read(row: bytes | None) -> Rendition | None:
    """Return the rendition that was kept, or None for anything that is none."""
    if row is None or len(row) < _TYPE_BYTES:
        return None
    return Rendition(row[:_TYPE_BYTES].decode("ascii", "replace").rstrip(), row[_TYPE_BYTES:])

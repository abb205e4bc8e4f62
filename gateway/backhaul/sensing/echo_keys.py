"""The echo's keys, read from their file: the far end's has a line for each box, a box's own has its one line."""

from pathlib import Path

from gateway.backhaul.sensing.echo import EchoKey, read_keys
from gateway.errors import N_, CannotStart


def keys_in(path: Path) -> dict[int, EchoKey]:
    """Return the keys in a file, by number.

    Raises: CannotStart.
    """
    try:
        return read_keys(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise CannotStart(
            N_("The key file of the echo cannot be used: %(path)s."),
            N_("Each line is a number and a key of at least 32 hexadecimal digits; openssl rand -hex 32 makes one."),
            path=path,
        ) from exc


def key_in(path: Path) -> EchoKey:
    """Return the one key in a box's own file.

    Raises: CannotStart.
    """
    keys = keys_in(path)
    if len(keys) != 1:
        raise CannotStart(
            N_("The key file of the echo holds more than this box's key: %(path)s."),
            N_("Leave only the line of this box in it: whoever has another box's key can pass for it."),
            path=path,
        )
    return next(iter(keys.values()))

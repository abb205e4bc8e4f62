"""`tambo clinic recording`: what was recorded of a call becomes a film, on the box or where its secret is.

The box is asked where the recordings lie and what opens them; reading, opening and writing is done by this command.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from gateway.errors import N_, CannotStart, NotFound
from gateway.orders_files import made_new, opened, secret_in
from gateway.plan import reachable
from gateway.running_box import RunningBox
from gateway.terminal import DEFAULT_CONFIG, Config, language, say, settings_of

PIECE_BYTES = 65_536


def recording(
    record: Annotated[str, typer.Argument(help=say(N_("The record's id, as listed; or a file that was uploaded.")))],
    file: Annotated[Path, typer.Argument(help=say(N_("A Matroska file that is not there yet.")))],
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", help=say(N_("What tambo clinic keygen made.")))
    ] = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    found = [(Path(record), "")] if Path(record).is_file() else _at_box(record, config)
    if not found:
        raise NotFound(N_("Nothing recorded of this call is here."), N_("Uploaded recordings are not kept on the box."))
    for number, (path, key) in enumerate(found, 1):
        name = file if number == 1 else file.with_stem(f"{file.stem}-{number}")
        with made_new(name) as made:
            film(_pieces(path, key, secret_file), made)
    typer.echo(say(N_("Films: %(count)d. Whoever has them can watch them: keep them safe."), count=len(found)))


def film(pieces: Iterator[bytes], made: BinaryIO) -> None:
    """Have a process of its own write the film: it reads what people sent. Raises: CannotStart."""
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    program = [sys.executable, "-P", "-m", "gateway.clinic.recordings.film"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=made, env=surroundings) as writing:  # noqa: S603 - our own program
        assert writing.stdin is not None  # noqa: S101 - asked for
        with suppress(BrokenPipeError), writing.stdin as taking:
            for piece in pieces:
                taking.write(piece)
    if writing.returncode:
        raise CannotStart(N_("No film could be made of the recording."), N_("It may hold nothing that can be shown."))


def _at_box(record: str, config: Path) -> list[tuple[Path, str]]:
    box = RunningBox(reachable(settings_of(config).admin.listen), language())
    said = box.ask("/clinic/recordings", {"record": record})
    return [(Path(each["path"]), each["key"]) for each in said["recordings"]]


def _pieces(path: Path, key: str, secret_file: Path | None) -> Iterator[bytes]:
    """Yield a recording in clear. Raises: CannotStart."""
    from gateway.clinic.records.recorded import open_with_secret
    from gateway.clinic.records.sealed_record import read_secret
    from gateway.durable.sealed_pieces import is_sealed, open_pieces, read_head
    from gateway.durable.vault import NotOpened

    with opened(path) as file:
        if not is_sealed(file):
            while piece := file.read(PIECE_BYTES):
                yield piece
            return
        try:
            head = read_head(file)
            opens = open_with_secret(head, read_secret(secret_in(secret_file))) if secret_file else bytes.fromhex(key)
            if not opens:
                raise NotOpened
            yield from open_pieces(file, opens)
        except NotOpened as exc:
            raise CannotStart(
                N_("The recording does not open."), N_("It is sealed: name the recipient's --secret-file.")
            ) from exc

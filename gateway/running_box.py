"""A command asks the box that runs on this machine, through the technician's listener, and is answered or refused.

The listener has no accounts: who may ask is decided by where it listens. What comes back is JSON, bounded.
"""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from gateway.errors import N_, CannotStart, GatewayError, TooLarge
from gateway.units import Address

ANSWER_S_MAX = 30.0
PURGE_S_MAX = 300.0  # emptying a large site of a slow card
ANSWER_BYTES_MAX = 4_000_000  # a list of pinned pages of a thousand
PIECE_BYTES = 65_536


class Refused(GatewayError):
    """The box understood and would not; its sentences are in the terminal's language already."""

    code = "refused"


@dataclass(frozen=True, slots=True)
class RunningBox:
    """The box whose technician's listener is at `address`; it is to speak `language`."""

    address: Address
    language: str

    def ask(
        self, path: str, document: Mapping[str, object] | None = None, *, answer_s_max: float = ANSWER_S_MAX
    ) -> Any:
        """Return what the box says to a question, or with a document, to an order.

        Raises: CannotStart when no box answers there, Refused.
        """
        with self._answer(path, document, answer_s_max) as answer:
            said = json.loads(answer.read(ANSWER_BYTES_MAX))
        if answer.status >= 400:
            raise Refused(*_sentences(said))
        return said

    def fetch(
        self,
        path: str,
        file: BinaryIO,
        *,
        bytes_max: int,
        answer_s_max: float = ANSWER_S_MAX,
        document: Mapping[str, object] | None = None,
    ) -> int:
        """Write what the box makes of an order into a file as it comes; return how many bytes it is.

        Raises: CannotStart when no box answers there, it stops in the middle, or the file cannot be written; Refused,
        TooLarge.
        """
        with self._answer(path, document or {}, answer_s_max) as answer:
            if answer.status < 400:
                return _received(answer, file, bytes_max)
            said = json.loads(answer.read(ANSWER_BYTES_MAX))
        raise Refused(*_sentences(said))

    @contextmanager
    def _answer(
        self, path: str, document: Mapping[str, object] | None, answer_s_max: float
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self.address.host, self.address.port, timeout=answer_s_max)
        headers = {"Accept": "application/json", "Accept-Language": self.language, "Content-Type": "application/json"}
        try:
            if document is None:
                connection.request("GET", path, headers=headers)
            else:
                connection.request("POST", path, json.dumps(document).encode(), headers)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise CannotStart(
                N_("The box does not answer on %(address)s."),
                N_("See its log; start it with tambo run."),
                address=self.address,
            ) from exc
        finally:
            connection.close()


def _received(answer: http.client.HTTPResponse, file: BinaryIO, bytes_max: int) -> int:
    """Write an answer's body to a file; return how many bytes it is.

    Raises: TooLarge, CannotStart when the file cannot be written.
    """
    size_bytes = 0
    while piece := answer.read(PIECE_BYTES):
        size_bytes += len(piece)
        if size_bytes > bytes_max:
            raise TooLarge
        try:
            file.write(piece)
        except OSError as exc:
            raise CannotStart(
                N_("The file cannot be written (%(reason)s)."),
                N_("Make room on its disk, or name another one."),
                reason=exc.strerror,
            ) from exc
    return size_bytes


def _sentences(said: object) -> tuple[str | None, str | None]:
    error = said.get("error") if isinstance(said, dict) else None
    if not isinstance(error, dict):
        return None, None
    return str(error.get("message", "")) or None, str(error.get("advice", "")) or None

"""A hit is answered before its request is parsed, where the full path has answered a request of the same shape.

The shape is what browsers send: one complete head of a GET, every field one of `_HARMLESS` and there once, spelled as
browsers spell it. Nothing is negotiated here: an answer is found by the exact bytes of the target, of `Host`, and of
the fields that its `Vary` names, and it is the head and the body that the full path sent for those, with `Age` and the
`ttl` of `Cache-Status` brought up to date. Whatever does not match goes the full way.

What is stored may change at any time, so whoever changes it says so here (`forget`, `clear`) before anybody can ask.
"""

import math
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.clock import Clock
from gateway.web.early.generations import Generations, Stamp
from gateway.web.statistics import Counters

if TYPE_CHECKING:  # workers hold answers too, in little memory
    from gateway.web.rules.stored import StoredResponse

BODY_BYTES_MAX = 262_144  # it is written at once, and lies in memory until a slow phone has read it
FORMS_MAX = 16  # of one target: languages times codings; what a browser invents beyond that goes the full way
TARGET_BYTES_MAX = 2_048  # what people ask for is shorter
CHOOSING_MAX = 12  # fields that one answer depends on; no site that is meant to be cached has as many
VALUE_CHARS_MAX = 200  # of a field that chooses a form
ASKED_MAX = 20_000  # resources that were asked for elsewhere, between two looks
DEVICES_MAX = 4_096  # whose bytes are told apart between two looks; what is beyond counts for none of them
_COST_BYTES = 1_024  # of an entry beside its body

Early = Callable[[bytes], tuple[bytes, bytes] | None]  # from the bytes of a request to head and body of its answer

# A field of one line, in printable ASCII. `Connection` is looked at apart.
_FIELD = re.compile(rb"^([A-Za-z-]+): ([ -~]*)\r\n", re.MULTILINE).findall
_VERSION = b" HTTP/1.1\r\n"
_KEEP_ALIVE = b"keep-alive"
# What the full path does not look at, or only where `Vary` names it.
_HARMLESS = frozenset(
    {b"Host", b"Connection", b"User-Agent", b"Accept", b"Accept-Encoding", b"Accept-Language", b"Referer", b"Origin",
     b"Cookie", b"DNT", b"Priority", b"Save-Data", b"Sec-Fetch-Dest", b"Sec-Fetch-Mode", b"Sec-Fetch-Site",
     b"Sec-Fetch-Storage-Access", b"Sec-Fetch-User", b"Sec-GPC", b"Upgrade-Insecure-Requests", b"sec-ch-ua",
     b"sec-ch-ua-mobile", b"sec-ch-ua-platform", b"Proxy-Connection"}
)  # fmt: skip
_SPELLED = {name.lower(): name for name in _HARMLESS}
_NEVER_CHOOSING = frozenset({b"cookie", b"authorization", b"*"})  # what is one person's is not held here
_FRAMING = frozenset({b"connection", b"transfer-encoding"})  # of one connection, or of a body that comes in pieces
_TTL = re.compile(rb"(tambo; hit; ttl=)-?\d+$")


class Log(Protocol):
    """Takes note of answers."""

    def note(self, wall_s: float, site: str, status: int, size_bytes: int, how: str) -> None:
        """Take note of one; `how` is what the cache did, in a word."""


@dataclass(slots=True)
class Form:
    """One answer, ready to be sent; its head is written anew once a second."""

    at: tuple[str, str]  # site and URL
    status: int
    template: bytes  # of the head, with places for the age and the ttl, in this order
    body: bytes
    base_age_s: float  # its age when it was received (RFC 9111 §4.2.3)
    received_s: float
    lifetime_s: float
    stamp: Stamp
    told_s: int = -1  # the second that `head` was written for
    head: bytes = b""

    def head_at(self, now_s: float) -> bytes | None:
        """Return the head as it is now; None when the answer is stale, or the clock fell back."""
        if not self.received_s <= now_s < self.received_s + self.lifetime_s - self.base_age_s:
            return None
        told_s = math.ceil(now_s)
        if told_s != self.told_s:
            age_s = self.base_age_s + (told_s - self.received_s)
            self.head = self.template % (int(age_s), int(self.lifetime_s - age_s))
            self.told_s = told_s
        return self.head


@dataclass(frozen=True, slots=True)
class Learned:
    """A form, and what it is the answer to."""

    key: bytes  # target and Host
    choosing: tuple[bytes, ...]
    chosen: tuple[bytes | None, ...]
    form: Form


@dataclass(frozen=True, slots=True)
class Answered:
    """What another process answered in this one's stead."""

    hits: int
    size_bytes: int
    asked: list[tuple[str, str]]
    lines: list[tuple[float, str, int, int, str]]  # for the access log


@dataclass(slots=True)
class _Target:
    """All forms of one target, and the request fields that choose between them."""

    choosing: tuple[bytes, ...]
    forms: dict[tuple[bytes | None, ...], Form]
    asked: bool = False  # since somebody last looked


class EarlyAnswers:
    """The answers of one door that need no parser."""

    def __init__(
        self,
        clock: Clock,
        counters: Counters,
        log: "Log",
        *,
        bytes_max: int,
        holds: Callable[[Stamp], bool] | None = None,
    ) -> None:
        self._clock = clock
        self._counters = counters
        self._log = log
        self._bytes_max = bytes_max
        self._bytes = 0
        self._targets: OrderedDict[bytes, _Target] = OrderedDict()
        self._by_resource: dict[tuple[str, str], set[bytes]] = {}
        self._asked_elsewhere: set[tuple[str, str]] = set()
        self._served: dict[str, int] = {}  # bytes of bodies by device, since somebody last looked
        self._holds = holds  # where the answers are copies that somebody else makes void
        self.generations = Generations()
        self.tell: Callable[[Learned], None] | None = None  # is told what is learned

    @property
    def size_bytes(self) -> int:
        """Return the bytes held, entries' own cost included."""
        return self._bytes

    def answer(self, data: bytes, device: str = "") -> tuple[bytes, bytes] | None:
        """Return head and body of the answer to the one request that `data` is, or None where this is not the place.

        `device` is the address of who asks, where it is known.
        """
        found = self._find(data)
        if found is None:
            return None
        target, _, _, form = found
        now_s = self._clock.wall_s()
        head = form.head_at(now_s)
        if head is None or (self._holds is not None and not self._holds(form.stamp)):
            return None
        target.asked = True
        self._counters.hits += 1
        self._counters.early += 1
        self._counters.bytes_from_store += len(form.body)
        self._log.note(now_s, form.at[0], form.status, len(form.body), "hit")
        self._serve(device, len(form.body))
        return head, form.body

    def found(self, data: bytes) -> Learned | None:
        """Return the answer that `answer` would give, as it was learned."""
        found = self._find(data)
        if found is None:
            return None
        target, key, chosen, form = found
        form.stamp = self.generations.stamp(*form.at)  # what is held here holds, whatever else its counters stand for
        return Learned(key, target.choosing, chosen, form)

    def _find(self, data: bytes) -> tuple[_Target, bytes, tuple[bytes | None, ...], Form] | None:
        if data[:4] != b"GET " or data[-4:] != b"\r\n\r\n":
            return None
        end = data.find(_VERSION, 4)
        found = _FIELD(data, end + len(_VERSION)) if end > 0 else ()
        fields = dict(found)
        if len(fields) != len(found) or data.count(b"\n") != len(found) + 2 or not fields.keys() <= _HARMLESS:
            return None
        key = data[4:end] + b"\n" + fields.get(b"Host", b"")
        target = self._targets.get(key)
        if target is None or not _keeps_alive(fields):
            return None
        chosen = tuple(map(fields.get, target.choosing))
        form = target.forms.get(chosen)
        return None if form is None else (target, key, chosen, form)

    def learn(
        self,
        target: bytes,
        asked: Iterable[tuple[bytes, bytes]],
        stored: "StoredResponse",
        head: tuple[bytes, list[tuple[bytes, bytes]]],
        body: bytes,
        changes: int,
        also: Iterable[str] = (),
    ) -> None:
        """Take note of an answer that the full path gave from the store.

        `asked` are the request's fields as they came, `head` the status line and the fields of the answer as they went,
        `changes` what `generations.changes` was before the store was looked at: what changed since then wins. `also`
        are the fields that other stored answers of the resource depend on: by those one of them would be chosen.
        """
        if changes != self.generations.changes:
            return
        fields = dict(pairs := list(asked))
        once = len(fields) == len(pairs) and len(target) <= TARGET_BYTES_MAX and b"\n" not in target
        choosing, template = _choosing(head[1], also), _template(head)
        if not (once and fields.keys() <= _HARMLESS and _keeps_alive(fields)) or choosing is None or template is None:
            return
        chosen = tuple(map(fields.get, choosing))
        if len(body) > BODY_BYTES_MAX or any(len(each or b"") > VALUE_CHARS_MAX for each in chosen):
            return
        received_s = stored.times.received_s
        form = Form(
            at=(stored.site, stored.url),
            status=stored.status,
            template=template,
            body=body,
            base_age_s=stored.age_s(received_s),
            received_s=received_s,
            lifetime_s=stored.lifetime_s(),
            stamp=self.generations.stamp(stored.site, stored.url),
        )
        learned = Learned(target + b"\n" + fields.get(b"Host", b""), choosing, chosen, form)
        self.hold(learned)
        if self.tell is not None:
            self.tell(learned)

    def forget(self, site: str, url: str) -> None:
        """Answer nothing of this resource, here or elsewhere: it has changed."""
        self.generations.changed(site, url)
        for key in self._by_resource.pop((site, url), ()):
            self._drop(key)

    def clear(self, site: str | None = None) -> None:
        """Answer nothing of a site, or nothing at all, that is not learned anew."""
        self.generations.cleared()
        for each in [at for at in self._by_resource if site is None or at[0] == site]:
            self.forget(*each)

    def count(self, answered: Answered) -> None:
        """Add what another process answered from what was learned here."""
        self._counters.hits += answered.hits
        self._counters.early += answered.hits
        self._counters.bytes_from_store += answered.size_bytes
        self._serve("", answered.size_bytes)
        self._asked_elsewhere.update(answered.asked[: ASKED_MAX - len(self._asked_elsewhere)])
        for line in answered.lines:
            self._log.note(*line)

    def asked_for(self) -> list[tuple[str, str]]:
        """Return the resources, by site and URL, that were answered since this was last called."""
        found, self._asked_elsewhere = self._asked_elsewhere, set()
        for target in self._targets.values():
            if target.asked:
                target.asked = False
                found.add(next(iter(target.forms.values())).at)
        return list(found)

    def take_served(self) -> dict[str, int]:
        """Return the bytes that each device was answered since this was last called; `""` where it is not known."""
        served, self._served = self._served, {}
        return served

    def hold(self, learned: Learned) -> None:
        """Answer with this form from now on."""
        key, choosing, chosen, form = learned.key, learned.choosing, learned.chosen, learned.form
        target = self._targets.get(key)
        if target is None or target.choosing != choosing or len(target.forms) >= FORMS_MAX:
            self._drop(key)
            target = self._targets[key] = _Target(choosing, {})
        if chosen in target.forms:
            self._bytes -= _cost_bytes(key, chosen, target.forms[chosen])
        target.forms[chosen] = form
        self._by_resource.setdefault(form.at, set()).add(key)
        self._bytes += _cost_bytes(key, chosen, form)
        while self._bytes > self._bytes_max:
            self._drop(next(iter(self._targets)))

    def _serve(self, device: str, size_bytes: int) -> None:
        before = self._served.get(device)
        if before is None and len(self._served) >= DEVICES_MAX:
            device, before = "", self._served.get("")
        self._served[device] = size_bytes if before is None else before + size_bytes

    def _drop(self, key: bytes) -> None:
        target = self._targets.pop(key, None)
        for chosen, form in target.forms.items() if target else ():
            self._bytes -= _cost_bytes(key, chosen, form)
            keys = self._by_resource.get(form.at, set())
            keys.discard(key)
            if not keys:
                self._by_resource.pop(form.at, None)


def _keeps_alive(fields: dict[bytes, bytes]) -> bool:
    """Both names end a connection (RFC 9112 §9.6 and Appendix C.2.2), so an answer would say so."""
    return fields.get(b"Connection", _KEEP_ALIVE) == _KEEP_ALIVE == fields.get(b"Proxy-Connection", _KEEP_ALIVE)


def _cost_bytes(key: bytes, chosen: tuple[bytes | None, ...], form: Form) -> int:
    held = 2 * len(form.template) + len(form.body) + len(key) + len(form.at[1])  # the head is written from the template
    return held + sum(len(each or b"") for each in chosen) + _COST_BYTES


def _choosing(fields: list[tuple[bytes, bytes]], also: Iterable[str]) -> tuple[bytes, ...] | None:
    """Return the names of the fields that an answer depends on, as browsers spell them; None where one is personal."""
    named = {b"accept-encoding", *(each.lower().encode() for each in also)}
    for name, value in fields:
        if name.lower() == b"vary":
            named |= {each.strip().lower() for each in value.split(b",")} - {b""}
    if named & _NEVER_CHOOSING or len(named) > CHOOSING_MAX:
        return None
    return tuple(sorted(_SPELLED.get(each, each) for each in named))


def _template(head: tuple[bytes, list[tuple[bytes, bytes]]]) -> bytes | None:
    """Return the bytes of a head with `%d` for its age and then its ttl; None where it has not both, in this order."""
    line, fields = head
    if any(name.lower() in _FRAMING for name, _ in fields):
        return None
    lines, places = [line.replace(b"%", b"%%")], []
    for name, value in fields:
        written = value.replace(b"%", b"%%")
        if name == b"Age":
            written = b"%d"
            places.append(name)
        elif name == b"Cache-Status":
            written, count = _TTL.subn(rb"\g<1>%d", written)
            places += [name] * count
        lines.append(name.replace(b"%", b"%%") + b": " + written)
    return b"\r\n".join([*lines, b"", b""]) if places == [b"Age", b"Cache-Status"] else None

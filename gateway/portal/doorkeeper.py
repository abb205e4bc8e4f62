"""Accounts for an event loop: asked on one thread of their own, hashed on two, and guessers wait.

Every way in counts as a failed try before it is looked at, and is forgiven when it went right. Slow hashes have a
bounded queue: past it the answer is "busy", not a pile of work.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from gateway.clock import Clock
from gateway.errors import NoCapacity
from gateway.portal.accounts import Accounts
from gateway.portal.credentials import TOKEN_PREFIX, Role, is_name
from gateway.portal.lockout import Lockout
from gateway.portal.passwords import hashed, matches
from gateway.portal.people import Account, Bearer, Scope, demand_open
from gateway.portal.sessions import Sessions

HASHES_AT_ONCE = 2  # 19 MiB each
HASHES_WAITING_MAX = 16
_NOBODY = "-"  # no account's name
_SECRET_CHARS_MAX = 1_024
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """It went right: who it is, and the new session's id."""

    account: Account
    session: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Name or secret is wrong; which of them is not said."""


@dataclass(frozen=True, slots=True)
class Paused:
    """Too many failures: the next try is looked at in `wait_s`."""

    wait_s: float


Outcome = SignedIn | Refused | Paused


class Doorkeeper:
    """Lets people in, and knows who is in."""

    def __init__(self, accounts: Accounts, sessions: Sessions, clock: Clock) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._clock = clock
        self._lockout = Lockout()
        self._asking: ThreadPoolExecutor | None = None
        self._hashing: ThreadPoolExecutor | None = None
        self._hashes = 0

    async def start(self) -> None:
        """Make the threads, and open the file."""
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="accounts")
        self._hashing = ThreadPoolExecutor(HASHES_AT_ONCE, thread_name_prefix="argon2")
        await self._ask(self._accounts.needs_setup)

    async def stop(self) -> None:
        """Close the file, and end the threads when what they do is done."""
        if self._asking and self._hashing:
            await self._ask(self._accounts.close)
            self._asking.shutdown(wait=False)
            self._hashing.shutdown(wait=False)
            self._asking = self._hashing = None

    async def sign_in(self, name: str, secret: str, address: str, former: str | None = None) -> Outcome:
        """Let somebody in by name and password, or by an access token in the password's place.

        Raises: NotAllowed when the secret is right and the account blocked.
        """
        name = name.strip().lower()[:64]
        if wait_s := self._begin_try(name, address):
            return Paused(wait_s)
        token = secret.strip()[:_SECRET_CHARS_MAX]
        if token.startswith(TOKEN_PREFIX):
            return await self._let_in(await self._by_token(name, token), name, address, former, token)
        return await self._let_in(await self._by_password(name, secret), name, address, former)

    async def sign_in_by_link(self, code: str, address: str, former: str | None = None) -> Outcome:
        """Let somebody in by a one-time link, which is void from then on.

        Raises: NotAllowed when the account is blocked.
        """
        if wait_s := self._begin_try(_NOBODY, address):
            return Paused(wait_s)
        account = await self._ask(lambda: self._accounts.use_link(code))
        return await self._let_in(account, _NOBODY, address, former)

    async def set_up(self, code: str, name: str, password: str, address: str) -> SignedIn | Paused:
        """Make the technician's account by the set-up code, and let them in.

        Raises: NotAllowed, BadRequest, Conflict.
        """
        if wait_s := self._begin_try(_NOBODY, address):
            return Paused(wait_s)
        account = await self._hash(lambda: self._accounts.set_up(code, name, password))
        self._lockout.forgive(_NOBODY, address)
        return SignedIn(account, await self._ask(lambda: self._sessions.begin(account.name)))

    async def who(self, session: str) -> Account | None:
        """Return who is signed in by this id."""
        return await self._ask(lambda: self._sessions.find(session))

    async def sign_out(self, session: str) -> None:
        """End one session."""
        await self._ask(lambda: self._sessions.end(session))

    async def of_token(self, token: str) -> Bearer | None:
        """Return whose bearer token this is, and which."""
        return await self._ask(lambda: self._accounts.tokens.of(token))

    async def ask(self, question: Callable[[Accounts], T]) -> T:
        """Return what the accounts answer; for quick questions, one at a time."""
        return await self._ask(lambda: question(self._accounts))

    async def add_cashier(self, shop: str, name: str, password: str | None) -> Account:
        """Make a cashier of a shop.

        Raises: BadRequest, Conflict, NotFound.
        """
        return await self._hash(lambda: self._accounts.add(name, Role.CASHIER, password, shop=shop))

    async def confirm(self, account: Account, password: str, address: str) -> Refused | Paused | None:
        """Say what stands against an act that asks for the password again; who has none is not asked."""
        stored = await self._ask(lambda: self._accounts.password_hash(account.name))
        if stored is None:
            return None
        if wait_s := self._begin_try(account.name, address):
            return Paused(wait_s)
        if not await self._hash(lambda: matches(stored, password[:_SECRET_CHARS_MAX])):
            return Refused()
        self._lockout.forgive(account.name, address)
        return None

    async def keep_pin(self, name: str, pin: str) -> None:
        """Keep an account's PIN, as a hash."""
        stored = await self._hash(lambda: hashed(pin))
        await self.ask(lambda accounts: accounts.pins.keep(name, stored))

    async def is_pin(self, name: str, pin: str) -> bool:
        """Say whether this is an account's PIN; whoever asks has counted the try."""
        stored = await self.ask(lambda accounts: accounts.pins.find(name))
        return await self._hash(lambda: matches(stored, pin[:_SECRET_CHARS_MAX]))

    async def needs_setup(self) -> bool:
        """Say whether nobody is technician yet."""
        return await self._ask(self._accounts.needs_setup)

    def _begin_try(self, name: str, address: str) -> float:
        now_s = self._clock.now_s()
        wait_s = self._lockout.wait_s(name, address, now_s)
        if not wait_s:
            self._lockout.count_try(name, address, now_s)
        return wait_s

    async def _by_password(self, name: str, password: str) -> Account | None:
        stored = await self._ask(lambda: self._accounts.password_hash(name)) if is_name(name) else None
        if not await self._hash(lambda: matches(stored, password[:_SECRET_CHARS_MAX])):
            return None
        # while it was hashed, the password may have been changed, or the name given to somebody else
        account, now_stored = await self.ask(lambda accounts: (accounts.find(name), accounts.password_hash(name)))
        return account if now_stored == stored else None

    async def _by_token(self, name: str, token: str) -> Account | None:
        bearer = await self.of_token(token)
        if bearer is None or bearer.token.scope is Scope.READ:  # signed in, one could do more than read
            return None
        return bearer.account if name in {"", bearer.account.name} else None

    async def _let_in(
        self, account: Account | None, name: str, address: str, former: str | None, token: str | None = None
    ) -> Outcome:
        if account is None:
            return Refused()
        self._lockout.forgive(name, address)
        demand_open(account)
        return SignedIn(account, await self._ask(lambda: self._sessions.begin(account.name, former, token)))

    async def _ask(self, question: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._asking, question)

    async def _hash(self, work: Callable[[], T]) -> T:
        if self._hashes >= HASHES_WAITING_MAX:
            raise NoCapacity
        self._hashes += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._hashing, work)
        finally:
            self._hashes -= 1

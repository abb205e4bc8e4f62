"""A sign-in that the clinic's pages have not heard of for a while is locked: its pages ask for the PIN first.

What is known is in memory, so after a restart of the box everybody is asked, but who has just signed in.
"""

from gateway.clock import Clock
from gateway.portal.clinic_pins import TRIES_MAX, check_pin
from gateway.portal.credentials import fingerprint
from gateway.portal.doorkeeper import Doorkeeper, Paused, Refused
from gateway.portal.people import Account

SESSIONS_MAX = 1_000  # past it the one not heard of for longest is asked for its PIN


class IdleLock:
    """Which sign-ins are open."""

    def __init__(self, doorkeeper: Doorkeeper, clock: Clock, idle_s: float) -> None:
        self.idle_s = idle_s
        self._doorkeeper = doorkeeper
        self._clock = clock
        self._heard_s: dict[bytes, float] = {}  # by session, the one heard of last at the end

    async def is_locked(self, session: str) -> bool:
        """Say whether the PIN is asked for first."""
        heard_s = self._heard_s.get(fingerprint(session))
        if heard_s is not None:
            return self._clock.now_s() - heard_s > self.idle_s
        since_wall_s = await self._doorkeeper.ask(lambda accounts: accounts.pins.signed_in_wall_s(session))
        return not 0 <= self._clock.wall_s() - since_wall_s <= self.idle_s

    def touch(self, session: str) -> None:
        """Take note of a use: the session is open for another while."""
        key = fingerprint(session)
        self._heard_s.pop(key, None)
        self._heard_s[key] = self._clock.now_s()
        if len(self._heard_s) > SESSIONS_MAX:
            self._heard_s.pop(next(iter(self._heard_s)))

    def shut(self, session: str) -> None:
        """Have the PIN asked for at the next page."""
        self._heard_s[fingerprint(session)] = float("-inf")

    async def has_pin(self, account: Account) -> bool:
        """Say whether an account has chosen a PIN."""
        return await self._doorkeeper.ask(lambda accounts: accounts.pins.find(account.name)) is not None

    async def has_password(self, account: Account) -> bool:
        """Say whether an account has a password."""
        return await self._doorkeeper.ask(lambda accounts: accounts.password_hash(account.name)) is not None

    async def choose(self, account: Account, pin: str) -> None:
        """Keep an account's PIN.

        Raises: BadRequest.
        """
        await self._doorkeeper.keep_pin(account.name, check_pin(pin))

    async def open(self, account: Account, session: str, secret: str, address: str) -> bool:
        """Open a locked session by the PIN, or by the password where there is no PIN; say whether it is open.

        After five wrong PINs, or where there is neither, the session has ended.
        """
        if await self.has_pin(account):
            tries = await self._doorkeeper.ask(lambda accounts: accounts.pins.count_try(account.name))
            is_right = tries <= TRIES_MAX and await self._doorkeeper.is_pin(account.name, secret)
            is_over = not is_right and tries >= TRIES_MAX
        else:
            refusal = await self._doorkeeper.confirm(account, secret, address)
            is_over = not await self.has_password(account)
            is_right = not is_over and not isinstance(refusal, Refused | Paused)
        if is_right:
            self.touch(session)
        if is_right or is_over:
            await self._doorkeeper.ask(lambda accounts: accounts.pins.forgive(account.name))
        if is_over:
            self._heard_s.pop(fingerprint(session), None)
            await self._doorkeeper.sign_out(session)
        return is_right

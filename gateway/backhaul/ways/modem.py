"""The modems of this machine are followed through ModemManager, where there is one.

No bus, no ModemManager, no modem: each is normal, is no news for any log, and is looked at again from time to time.
Only the properties that are named here are asked for; what tells a modem, a SIM or a subscriber apart (IMEI, IMSI,
numbers) is not, and what ModemManager sends along unasked (`GetManagedObjects`) is not looked at. A signal is only a
reason to ask again.
"""

import asyncio
from collections.abc import Callable

import structlog
from dbus_fast import BusType, DBusFastError, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.unpack import unpack_variants
from dbus_fast.validators import is_object_path_valid

from gateway.backhaul.ways.modem_view import ModemView, read_modem
from gateway.clock import Clock

RETRY_S = 60.0  # until the bus is looked for again
REFRESH_S = 10.0  # between two measurements of the signal, and the longest between two looks
GATHER_S = 0.2  # signals come in bunches
CALL_S = 5.0
MODEMS_MAX = 8
BEARERS_MAX = 4

_SERVICE = "org.freedesktop.ModemManager1"
_ROOT = "/org/freedesktop/ModemManager1"
_MODEM = f"{_SERVICE}.Modem"
_NETWORK = f"{_MODEM}.Modem3gpp"
_SIGNAL = f"{_MODEM}.Signal"
_BEARER = f"{_SERVICE}.Bearer"
_BUS = "org.freedesktop.DBus"
_READ = {
    _MODEM: ("State", "AccessTechnologies", "Ports", "SignalQuality", "Bearers"),
    _NETWORK: ("RegistrationState",),
    _SIGNAL: ("Lte", "Nr5g"),
    _BEARER: ("Connected", "Interface", "Stats"),
}
_NEWS = (
    f"type='signal',sender='{_SERVICE}',interface='{_BUS}.Properties',member='PropertiesChanged'",
    f"type='signal',sender='{_SERVICE}',interface='{_BUS}.ObjectManager'",
    f"type='signal',sender='{_BUS}',interface='{_BUS}',member='NameOwnerChanged',arg0='{_SERVICE}'",
)
_log = structlog.get_logger("backhaul")


class RefusedCallError(OSError):
    """The bus or ModemManager answered a call with an error."""


class Modems:
    """What each modem says now."""

    def __init__(
        self, clock: Clock, on_change: Callable[[tuple[ModemView, ...]], None], bus_address: str | None = None
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        self._bus_address = bus_address
        self._measured: set[str] = set()  # modems that were asked to measure their signal
        self.views: tuple[ModemView, ...] = ()

    def of(self, interface: str | None) -> ModemView | None:
        """Return the view of the modem behind an interface; without one, that of the only modem."""
        if interface is None:
            return self.views[0] if len(self.views) == 1 else None
        return next((each for each in self.views if each.interface == interface), None)

    async def run(self) -> None:
        """Follow the modems until cancelled."""
        while True:
            try:
                await self._follow()
            except* (OSError, DBusFastError, EOFError) as group:
                _log.debug("modem.no_bus", error=type(group.exceptions[0]).__name__)
            self._show(())
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        """Look whenever there is news, until the bus is gone."""
        bus = MessageBus(self._bus_address, BusType.SYSTEM, auth_timeout=CALL_S)
        news = asyncio.Event()

        def hear(message: Message) -> None:
            if message.message_type is MessageType.SIGNAL:
                news.set()

        async with asyncio.timeout(CALL_S):
            await bus.connect()
        try:
            bus.add_message_handler(hear)
            for rule in _NEWS:
                await _call(bus, Message(_BUS, "/org/freedesktop/DBus", _BUS, "AddMatch", signature="s", body=[rule]))
            async with asyncio.TaskGroup() as tasks:
                ending = tasks.create_task(_await_end(bus, news), name="modem bus")
                while bus.connected:
                    news.clear()
                    self._show(await self._look(bus))
                    await _wait_for_news(news, REFRESH_S if self.views else RETRY_S)
                ending.cancel()
        finally:
            bus.disconnect()

    async def _look(self, bus: MessageBus) -> tuple[ModemView, ...]:
        views = []
        paths = await _modem_paths(bus)
        self._measured &= set(paths)
        for path in paths:
            try:
                views.append(await self._look_at(bus, path))
            except RefusedCallError:
                continue  # it was unplugged meanwhile
        return tuple(views)

    async def _look_at(self, bus: MessageBus, path: str) -> ModemView:
        if path not in self._measured and await _measure(bus, path):
            self._measured.add(path)
        modem = await _read(bus, path, _MODEM)
        if not modem:
            raise RefusedCallError
        told = modem.get("Bearers")
        bearers = [each for each in told if is_object_path_valid(each)] if isinstance(told, list) else []
        return read_modem(
            modem,
            await _read(bus, path, _NETWORK),
            await _read(bus, path, _SIGNAL),
            [await _read(bus, each, _BEARER) for each in bearers[:BEARERS_MAX]],
            self._clock.now_s(),
        )

    def _show(self, views: tuple[ModemView, ...]) -> None:
        before, self.views = self.views, views
        if views != before:
            if len(views) != len(before):
                _log.info("modem.count", modems=len(views))
            self._on_change(views)


async def _await_end(bus: MessageBus, news: asyncio.Event) -> None:
    try:
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
    finally:
        news.set()


async def _wait_for_news(news: asyncio.Event, longest_s: float) -> None:
    try:
        async with asyncio.timeout(longest_s):
            await news.wait()
        await asyncio.sleep(GATHER_S)
    except TimeoutError:
        pass


async def _modem_paths(bus: MessageBus) -> list[str]:
    """Return where the modems are; ModemManager is not started for this, and without it there are none."""
    try:
        await _call(bus, Message(_BUS, "/org/freedesktop/DBus", _BUS, "GetNameOwner", signature="s", body=[_SERVICE]))
        told = await _call(bus, Message(_SERVICE, _ROOT, f"{_BUS}.ObjectManager", "GetManagedObjects"))
    except RefusedCallError:
        return []
    objects = told[0] if told and isinstance(told[0], dict) else {}
    return sorted(path for path, interfaces in objects.items() if _MODEM in interfaces)[:MODEMS_MAX]


async def _measure(bus: MessageBus, path: str) -> bool:
    """Have the modem measure its signal; say whether it will."""
    try:
        await _call(bus, Message(_SERVICE, path, _SIGNAL, "Setup", signature="u", body=[int(REFRESH_S)]))
    except RefusedCallError:
        return False
    return True


async def _read(bus: MessageBus, path: str, interface: str) -> dict[str, object]:
    """Return the properties of an interface that are wanted and can be had."""
    found: dict[str, object] = {}
    for name in _READ[interface]:
        try:
            told = await _call(
                bus, Message(_SERVICE, path, f"{_BUS}.Properties", "Get", signature="ss", body=[interface, name])
            )
        except RefusedCallError:
            continue
        found[name] = unpack_variants(told[0]) if told else None
    return found


async def _call(bus: MessageBus, message: Message) -> list[object]:
    """Return a call's answer.

    Raises: RefusedCallError, TimeoutError.
    """
    async with asyncio.timeout(CALL_S):
        reply = await bus.call(message)
    if reply.message_type is not MessageType.METHOD_RETURN:
        raise RefusedCallError
    return list(reply.body)

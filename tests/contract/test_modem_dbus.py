"""A modem is followed over a real bus: it appears, changes, goes away and comes back, and nothing of it is a name.

The bus is a private dbus-daemon; ModemManager is played by a service with the interfaces that the real one documents.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Annotated, Any

import pytest
from dbus_fast import Message, PropertyAccess, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusBool, DBusInt32, DBusSignature, DBusStr, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

from gateway.backhaul.ways import modem as adapter
from gateway.backhaul.ways.modem import Modems
from gateway.backhaul.ways.modem_view import ModemView, Registration, Signal
from gateway.clock import SystemClock
from tests.waiting import wait_until

DAEMON = shutil.which("dbus-daemon")
REAL = shutil.which("ModemManager")
pytestmark = pytest.mark.skipif(DAEMON is None, reason="no dbus-daemon on this machine")

MM = "org.freedesktop.ModemManager1"
PATH = "/org/freedesktop/ModemManager1/Modem/0"
BEARER_PATH = "/org/freedesktop/ModemManager1/Bearer/7"
SECRETS = ("356938035643809", "716060000000001", "+51987654321")  # an IMEI, an IMSI, a number
CONNECTED, REGISTERED, SEARCHING = 11, 8, 7
READ_ONLY = PropertyAccess.READ
Ports = Annotated[list[list[Any]], DBusSignature("a(su)")]
Quality = Annotated[list[Any], DBusSignature("(ub)")]
Paths = Annotated[list[str], DBusSignature("ao")]
Strings = Annotated[list[str], DBusSignature("as")]
Table = Annotated[dict[str, Variant], DBusSignature("a{sv}")]


class FakeModem(ServiceInterface):
    def __init__(self) -> None:
        super().__init__(f"{MM}.Modem")
        self.state = CONNECTED
        self.technologies = 1 << 14
        self.bearers = [BEARER_PATH]
        self.secrets_read: list[str] = []

    @dbus_property(READ_ONLY)
    def State(self) -> DBusInt32:
        return self.state

    @dbus_property(READ_ONLY)
    def AccessTechnologies(self) -> DBusUInt32:
        return self.technologies

    @dbus_property(READ_ONLY)
    def Ports(self) -> Ports:
        return [["cdc-wdm0", 6], ["wwan0", 2]]

    @dbus_property(READ_ONLY)
    def SignalQuality(self) -> Quality:
        return [61, True]

    @dbus_property(READ_ONLY)
    def Bearers(self) -> Paths:
        return self.bearers

    @dbus_property(READ_ONLY)
    def EquipmentIdentifier(self) -> DBusStr:
        return SECRETS[0]

    @dbus_property(READ_ONLY)
    def OwnNumbers(self) -> Strings:
        return [SECRETS[2]]


class FakeNetwork(ServiceInterface):
    def __init__(self) -> None:
        super().__init__(f"{MM}.Modem.Modem3gpp")
        self.registration = 1

    @dbus_property(READ_ONLY)
    def RegistrationState(self) -> DBusUInt32:
        return self.registration

    @dbus_property(READ_ONLY)
    def Imei(self) -> DBusStr:
        return SECRETS[0]


class FakeSignal(ServiceInterface):
    def __init__(self) -> None:
        super().__init__(f"{MM}.Modem.Signal")
        self.rate_s = 0
        self.lte: dict[str, Variant] = {}

    @dbus_method()
    def Setup(self, rate: DBusUInt32) -> None:
        self.rate_s = rate
        self.lte = {"rsrp": Variant("d", -97.0), "rsrq": Variant("d", -11.0), "snr": Variant("d", 7.5)}

    @dbus_property(READ_ONLY)
    def Lte(self) -> Table:
        return self.lte

    @dbus_property(READ_ONLY)
    def Nr5g(self) -> Table:
        return {}


class FakeBearer(ServiceInterface):
    def __init__(self) -> None:
        super().__init__(f"{MM}.Bearer")
        self.stats: dict[str, Variant] = {"rx-bytes": Variant("t", 5_000_000), "tx-bytes": Variant("t", 700_000)}

    @dbus_property(READ_ONLY)
    def Connected(self) -> DBusBool:
        return True

    @dbus_property(READ_ONLY)
    def Interface(self) -> DBusStr:
        return "wwan0"

    @dbus_property(READ_ONLY)
    def Stats(self) -> Table:
        return self.stats


class ModemManager:
    """The service, with one modem that can be plugged in and out."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self.modem, self.network, self.signal, self.bearer = FakeModem(), FakeNetwork(), FakeSignal(), FakeBearer()

    async def start(self) -> None:
        await self._bus.connect()
        await self._bus.request_name(MM)

    def plug_in(self) -> None:
        for path, interface in self._interfaces():
            self._bus.export(path, interface)

    def unplug(self) -> None:
        for path, interface in self._interfaces():
            self._bus.unexport(path, interface)

    def stop(self) -> None:
        self._bus.disconnect()

    def _interfaces(self) -> list[tuple[str, ServiceInterface]]:
        return [(PATH, self.modem), (PATH, self.network), (PATH, self.signal), (BEARER_PATH, self.bearer)]


@asynccontextmanager
async def private_bus() -> AsyncIterator[str]:
    assert DAEMON is not None
    daemon = await asyncio.create_subprocess_exec(
        *(DAEMON, "--session", "--nofork", "--nopidfile", "--print-address=1"), stdout=asyncio.subprocess.PIPE
    )
    assert daemon.stdout is not None
    try:
        yield (await daemon.stdout.readline()).decode().strip()
    finally:
        with suppress(ProcessLookupError):
            daemon.kill()
        await daemon.wait()


@asynccontextmanager
async def followed(address: str) -> AsyncIterator[tuple[Modems, list[tuple[ModemView, ...]]]]:
    told: list[tuple[ModemView, ...]] = []
    modems = Modems(SystemClock(), told.append, bus_address=address)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(modems.run())
        yield modems, told
        following.cancel()


@asynccontextmanager
async def managed() -> AsyncIterator[tuple[Modems, list[tuple[ModemView, ...]], ModemManager]]:
    """Follow a bus with a ModemManager and its modem."""
    async with private_bus() as address:
        manager = ModemManager(MessageBus(address))
        await manager.start()
        manager.plug_in()
        try:
            async with followed(address) as (modems, told):
                await wait_until(lambda: len(modems.views) == 1)
                yield modems, told, manager
        finally:
            manager.stop()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "RETRY_S", 0.05)
    monkeypatch.setattr(adapter, "GATHER_S", 0.01)


def run(journey: Callable[[], Any]) -> None:
    asyncio.run(journey())


def test_a_modems_radio_connection_and_data_are_read() -> None:
    async def journey() -> None:
        async with managed() as (modems, _, manager):
            view = modems.views[0]
            assert (view.rsrp_dbm, view.rsrq_db, view.sinr_db, view.quality_ratio) == (-97.0, -11.0, 7.5, 0.61)
            assert (view.interface, view.connected, view.technology) == ("wwan0", True, "4G")
            assert (view.registration, view.roaming, view.signal) == (Registration.HOME, False, Signal.FAIR)
            assert (view.down_bytes, view.up_bytes) == (5_000_000, 700_000)
            assert manager.signal.rate_s == adapter.REFRESH_S, "it was asked to measure"
            assert modems.of("wwan0") == modems.of(None) == view
            assert modems.of("eth0") is None

    run(journey)


def test_a_change_is_told_when_modem_manager_says_so() -> None:
    async def journey() -> None:
        async with managed() as (modems, told, manager):
            manager.modem.state, manager.modem.bearers = SEARCHING, []
            manager.network.registration = 5
            manager.modem.emit_properties_changed({"State": SEARCHING})
            await wait_until(lambda: not modems.views[0].connected)
            await wait_until(lambda: modems.views[0].roaming)
            view = modems.views[0]
            assert (view.interface, view.down_bytes) == ("wwan0", None), "its port is known without a connection"
            assert told[-1] == modems.views

    run(journey)


def test_a_modem_that_is_unplugged_is_gone_and_one_that_is_plugged_in_is_there() -> None:
    async def journey() -> None:
        async with managed() as (modems, told, manager):
            manager.unplug()
            await wait_until(lambda: modems.views == ())
            manager.signal.rate_s = 0
            manager.plug_in()
            await wait_until(lambda: len(modems.views) == 1 and modems.views[0].down_bytes is not None)
            assert manager.signal.rate_s == adapter.REFRESH_S, "a new modem is asked to measure again"
            assert () in told

    run(journey)


def test_modem_manager_may_go_and_come_back() -> None:
    async def journey() -> None:
        async with private_bus() as address, followed(address) as (modems, _):
            for _ in range(2):
                manager = ModemManager(MessageBus(address))
                await manager.start()
                manager.plug_in()
                await wait_until(lambda: len(modems.views) == 1)
                manager.stop()
                await wait_until(lambda: modems.views == ())

    run(journey)


@pytest.mark.skipif(REAL is None, reason="no ModemManager on this machine")
def test_the_real_modem_manager_answers_what_is_asked_of_it_and_without_a_modem_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered: list[list[object]] = []
    paths = adapter._modem_paths

    async def noted(bus: MessageBus) -> list[str]:
        await adapter._call(bus, Message(MM, "/org/freedesktop/ModemManager1", adapter._BUS + ".Peer", "Ping"))
        answered.append([await paths(bus)])
        return []

    async def journey() -> None:
        assert REAL is not None
        monkeypatch.setattr(adapter, "_modem_paths", noted)
        async with private_bus() as address:
            real = await asyncio.create_subprocess_exec(
                *(REAL, "--test-session", "--test-no-udev", "--test-no-suspend-resume"),
                env={**os.environ, "DBUS_SESSION_BUS_ADDRESS": address},
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                async with followed(address) as (modems, _):
                    await wait_until(lambda: bool(answered))
                    assert (answered[0], modems.views) == ([[]], ())
            finally:
                real.kill()
                await real.wait()

    run(journey)


def test_without_a_bus_there_is_no_modem_and_nothing_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    async def journey() -> None:
        async with followed("unix:path=/nowhere/bus") as (modems, told):
            await asyncio.sleep(0.05)
            assert (modems.views, told) == ((), [])

    run(journey)
    assert "nowhere" not in capsys.readouterr().out


def test_a_bus_that_ends_means_no_modem() -> None:
    async def journey() -> None:
        async with AsyncExitStack() as ending:
            address = await ending.enter_async_context(private_bus())
            async with followed(address) as (modems, _):
                manager = ModemManager(MessageBus(address))
                await manager.start()
                manager.plug_in()
                await wait_until(lambda: len(modems.views) == 1)
                await ending.aclose()
                await wait_until(lambda: modems.views == ())

    run(journey)


def test_what_makes_no_sense_is_absent_and_harms_nothing() -> None:
    async def journey() -> None:
        async with managed() as (modems, _, manager):
            manager.signal.lte = {
                "rsrp": Variant("s", "strong"),
                "rsrq": Variant("d", float("nan")),
                "snr": Variant("d", 1e9),
            }
            manager.bearer.stats = {"rx-bytes": Variant("s", "many"), "tx-bytes": Variant("i", -5)}
            manager.modem.state, manager.modem.technologies, manager.network.registration = -1, 0, 99
            manager.modem.emit_properties_changed({"State": -1})
            await wait_until(lambda: modems.views[0].rsrp_dbm is None)
            view = modems.views[0]
            assert view == ModemView(interface="wwan0", quality_ratio=0.61)
            assert (view.signal, view.registration) == (Signal.GOOD, Registration.UNKNOWN)

    run(journey)


def test_nothing_that_names_a_modem_its_sim_or_its_owner_is_asked_for_or_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    call = adapter._call

    async def noted(bus: MessageBus, message: Any) -> list[object]:
        asked.extend(str(each) for each in message.body)
        return await call(bus, message)

    async def journey() -> None:
        monkeypatch.setattr(adapter, "_call", noted)
        async with managed() as (modems, told, _):
            assert modems.views
            assert not any(secret in repr([modems.views, told, vars(modems)]) for secret in SECRETS)

    run(journey)
    names = {"EquipmentIdentifier", "Imei", "Imsi", "SimIdentifier", "OwnNumbers", "DeviceIdentifier", "GetAll"}
    assert names.isdisjoint(asked)
    assert "RegistrationState" in asked
    assert not any(secret in capsys.readouterr().out for secret in SECRETS)

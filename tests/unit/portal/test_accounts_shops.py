"""A cashier works for one shop and reaches into no other; who is blocked comes in nowhere, and is told so."""

from asyncio import to_thread as aside
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from gateway.errors import BadRequest, Conflict, NotAllowed, NotFound
from gateway.portal.accounts import CASHIERS_MAX, Accounts
from gateway.portal.credentials import Role
from gateway.portal.doorkeeper import Doorkeeper, Paused, Refused, SignedIn
from gateway.portal.passwords import matches
from gateway.portal.people import may_change_sent, may_record, may_see_totals
from gateway.portal.sessions import Sessions
from tests.clocks import HandClock

PASSWORD = "seis llamas al alba"
HERE = "10.0.0.7"


@pytest.fixture
def accounts(tmp_path: Path, clock: HandClock) -> Iterator[Accounts]:
    made = Accounts(tmp_path, clock)
    made.add("ana", Role.MERCHANT, PASSWORD)
    made.add("rosa", Role.MERCHANT, None)
    made.add("pedro", Role.CASHIER, PASSWORD, shop="ana")
    made.add("teo", Role.TECHNICIAN, None)
    yield made
    made.close()


@pytest.fixture
async def doorkeeper(accounts: Accounts, clock: HandClock) -> AsyncIterator[Doorkeeper]:
    made = Doorkeeper(accounts, Sessions(accounts.database, clock, 3_600), clock)
    await made.start()
    yield made
    await made.stop()


def test_a_cashiers_shop_is_the_merchants_and_a_merchants_their_own(accounts: Accounts) -> None:
    assert {each.name: each.shop for each in accounts.list()} == {
        "ana": "ana",
        "pedro": "ana",
        "rosa": "rosa",
        "teo": "",
    }


@pytest.mark.parametrize(
    ("role", "shop", "error"),
    [
        (Role.CASHIER, "", BadRequest),
        (Role.MERCHANT, "ana", BadRequest),
        (Role.NURSE, "ana", BadRequest),
        (Role.CASHIER, "nadie", NotFound),
        (Role.CASHIER, "teo", NotFound),
        (Role.CASHIER, "pedro", NotFound),
    ],
)
def test_a_cashier_has_a_merchants_shop_and_nobody_else_has_one(
    accounts: Accounts, role: Role, shop: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        accounts.add("luz", role, None, shop=shop)
    assert accounts.find("luz") is None


@pytest.mark.parametrize(
    ("name", "rights"),
    [("ana", (True, True, True)), ("pedro", (True, False, False)), ("teo", (False, False, False))],
)
def test_what_each_role_may_do(accounts: Accounts, name: str, rights: tuple[bool, bool, bool]) -> None:
    account = accounts.find(name)
    assert account is not None
    assert (may_record(account), may_change_sent(account), may_see_totals(account)) == rights


def test_a_cashier_sees_the_totals_while_the_merchant_lets_them(accounts: Accounts) -> None:
    for sees in (True, False):
        accounts.team.let_see_totals("ana", "pedro", sees=sees)
        pedro = accounts.find("pedro")
        assert pedro is not None
        assert may_see_totals(pedro) is sees


@pytest.mark.parametrize("name", ["pedro", "ana", "rosa", "teo", "nadie"])
@pytest.mark.parametrize(
    "reach",
    [
        lambda accounts, name: accounts.team.remove("rosa", name),
        lambda accounts, name: accounts.team.sign_out("rosa", name),
        lambda accounts, name: accounts.team.let_see_totals("rosa", name, sees=True),
        lambda accounts, name: accounts.new_link(name, 600, shop="rosa"),
    ],
)
def test_a_merchant_reaches_only_the_own_cashiers(
    accounts: Accounts, reach: Callable[[Accounts, str], object], name: str
) -> None:
    before = accounts.list()
    code = accounts.new_link("pedro", 600)
    with pytest.raises(NotFound):
        reach(accounts, name)
    assert accounts.list() == before
    assert accounts.use_link(code) is not None


def test_a_removed_merchant_takes_every_access_of_the_cashiers_along(accounts: Accounts, clock: HandClock) -> None:
    sessions = Sessions(accounts.database, clock, 3_600)
    token, code, session = accounts.new_token("pedro"), accounts.new_link("pedro", 600), sessions.begin("pedro")
    accounts.remove("ana")
    accounts.add("ana", Role.MERCHANT, None)
    assert accounts.tokens.of(token) is None
    assert accounts.use_link(code) is None
    assert sessions.find(session) is None
    assert accounts.team.list("ana") == []


def test_signing_a_cashier_out_ends_sessions_and_links_and_nothing_of_others(
    accounts: Accounts, clock: HandClock
) -> None:
    accounts.add("luz", Role.CASHIER, None, shop="ana")
    sessions = Sessions(accounts.database, clock, 3_600)
    ended, others, code = sessions.begin("pedro"), sessions.begin("luz"), accounts.new_link("pedro", 600)
    accounts.team.sign_out("ana", "pedro")
    assert sessions.find(ended) is None
    assert accounts.use_link(code) is None
    assert sessions.find(others) is not None


def test_a_shop_has_so_many_cashiers_and_no_more(accounts: Accounts) -> None:
    for number in range(CASHIERS_MAX - 1):
        accounts.add(f"c{number}", Role.CASHIER, None, shop="ana")
    with pytest.raises(Conflict):
        accounts.add("luz", Role.CASHIER, None, shop="ana")
    accounts.add("luz", Role.CASHIER, None, shop="rosa")


@pytest.mark.parametrize("name", ["ana", "pedro"])
async def test_a_blocked_merchant_and_the_cashiers_are_refused_with_a_sentence(
    accounts: Accounts, doorkeeper: Doorkeeper, name: str
) -> None:
    before = await doorkeeper.sign_in(name, PASSWORD, HERE)
    assert isinstance(before, SignedIn)
    token = await aside(accounts.new_token, name)
    await aside(accounts.block, "ana")
    assert await doorkeeper.who(before.session) is None
    for secret in (PASSWORD, token):
        with pytest.raises(NotAllowed, match="blocked"):
            await doorkeeper.sign_in(name, secret, HERE)
    assert isinstance(await doorkeeper.sign_in(name, "not the password", HERE), Refused), "only who has it is told"
    code = await aside(accounts.new_link, name, 600)
    with pytest.raises(NotAllowed, match="blocked"):
        await doorkeeper.sign_in_by_link(code, HERE)
    await aside(lambda: accounts.block("ana", on=False))
    assert await doorkeeper.who(before.session) is None, "what was ended stays so"
    assert isinstance(await doorkeeper.sign_in(name, PASSWORD, HERE), SignedIn)


def test_a_session_that_begins_while_its_account_is_blocked_opens_nothing(accounts: Accounts, clock: HandClock) -> None:
    sessions = Sessions(accounts.database, clock, 3_600)
    accounts.block("ana")
    assert sessions.find(sessions.begin("pedro")) is None


def test_a_technician_cannot_be_blocked_and_nobody_is_blocked_by_a_wrong_name(accounts: Accounts) -> None:
    with pytest.raises(Conflict):
        accounts.block("teo")
    with pytest.raises(NotFound):
        accounts.block("nadie")
    assert not any(each.is_blocked for each in accounts.list())


async def test_a_password_is_confirmed_and_guessing_it_there_is_paused_too(
    accounts: Accounts, doorkeeper: Doorkeeper, clock: HandClock
) -> None:
    ana, rosa = await aside(accounts.find, "ana"), await aside(accounts.find, "rosa")
    assert ana is not None
    assert rosa is not None
    assert await doorkeeper.confirm(rosa, "", HERE) is None, "there is no password to ask for"
    assert await doorkeeper.confirm(ana, PASSWORD, HERE) is None
    for _ in range(5):
        assert await doorkeeper.confirm(ana, "not the password", HERE) == Refused()
    assert isinstance(await doorkeeper.confirm(ana, PASSWORD, HERE), Paused)
    clock.pass_s(3)
    assert await doorkeeper.confirm(ana, PASSWORD, HERE) is None


@pytest.mark.parametrize("change", ["password", "owner"])
async def test_a_password_that_ends_while_it_is_checked_opens_nothing(
    accounts: Accounts, doorkeeper: Doorkeeper, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    def slow(stored: str | None, password: str) -> bool:
        if change == "password":
            accounts.set_password("pedro", "otra frase larga")
        else:
            accounts.remove("pedro")
            accounts.add("pedro", Role.CASHIER, None, shop="rosa")
        return matches(stored, password)

    monkeypatch.setattr("gateway.portal.doorkeeper.matches", slow)
    assert await doorkeeper.sign_in("pedro", PASSWORD, HERE) == Refused()

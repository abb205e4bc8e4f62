"""A token is known by how it begins, is revoked by itself with what it opened, and does no more than its scope."""

from asyncio import to_thread as aside
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.errors import BadRequest, Conflict, LocalError, NotAllowed, NotFound, NotSignedIn
from gateway.portal.accounts import Accounts
from gateway.portal.credentials import Role
from gateway.portal.doorkeeper import Doorkeeper, Refused, SignedIn
from gateway.portal.identity import Identity
from gateway.portal.people import Scope
from gateway.portal.sessions import Sessions
from tests.clocks import HandClock

PASSWORD = "seis llamas al alba"
HERE = "10.0.0.7"


@pytest.fixture
async def accounts(tmp_path: Path, clock: HandClock) -> AsyncIterator[Accounts]:
    made = Accounts(tmp_path, clock)
    await aside(made.add, "ana", Role.MERCHANT, PASSWORD)
    await aside(made.add, "rosa", Role.MERCHANT, None)
    await aside(lambda: made.add("pedro", Role.CASHIER, None, shop="ana"))
    yield made
    await aside(made.close)


@pytest.fixture
async def doorkeeper(accounts: Accounts, clock: HandClock) -> AsyncIterator[Doorkeeper]:
    made = Doorkeeper(accounts, Sessions(accounts.database, clock, 3_600), clock)
    await made.start()
    yield made
    await made.stop()


def failing() -> NoReturn:
    """Stand for a disk that takes nothing."""
    raise LocalError


@pytest.fixture
def identity(doorkeeper: Doorkeeper) -> Identity:
    return Identity(doorkeeper, b"k" * 32)


async def test_tokens_are_listed_by_how_they_begin_with_label_scope_and_day_of_use(
    accounts: Accounts, clock: HandClock
) -> None:
    till = await aside(accounts.tokens.make, "ana", "  caja \t dos ")
    clock.pass_s(1)
    sheet = await aside(accounts.tokens.make, "ana", "hoja", Scope.READ)
    listed = await aside(accounts.tokens.list, "ana")
    assert [(each.label, each.scope, each.used_on) for each in listed] == [
        ("caja dos", Scope.ORDERS, ""),
        ("hoja", Scope.READ, ""),
    ]
    for token, each in zip((till, sheet), listed, strict=True):
        assert token.startswith(each.prefix)
        assert len(each.prefix) == 14
    assert await aside(accounts.tokens.of, till) is not None
    first, untouched = await aside(accounts.tokens.list, "ana")
    assert len(first.used_on) == len("2026-01-31"), "the day, and no more"
    assert untouched.used_on == ""
    clock.pass_s(2 * 86_400)
    await aside(accounts.tokens.of, till)
    assert (await aside(accounts.tokens.list, "ana"))[0].used_on > first.used_on


async def test_a_use_that_cannot_be_noted_is_one_all_the_same(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await aside(accounts.tokens.make, "ana", "caja")
    with monkeypatch.context() as full:
        full.setattr(accounts.database, "writing", failing)
        bearer = await aside(accounts.tokens.of, token)
    assert bearer is not None
    assert bearer.account.name == "ana"
    assert (await aside(accounts.tokens.list, "ana"))[0].used_on == ""


async def test_one_token_is_revoked_and_the_others_go_on(accounts: Accounts) -> None:
    first, second = [await aside(accounts.tokens.make, "ana", label) for label in ("uno", "dos")]
    await aside(accounts.tokens.revoke, "ana", first[:14])
    assert await aside(accounts.tokens.of, first) is None
    assert await aside(accounts.tokens.of, second) is not None


async def test_nobody_revokes_the_token_of_another(accounts: Accounts) -> None:
    token = await aside(accounts.tokens.make, "ana", "caja")
    for name, begins in (("rosa", token[:14]), ("ana", token[:13]), ("ana", ""), ("ana", "%")):
        with pytest.raises(NotFound):
            await aside(accounts.tokens.revoke, name, begins)
    assert await aside(accounts.tokens.of, token) is not None


async def test_a_label_is_one_line_and_taken_once_by_an_account(accounts: Accounts) -> None:
    await aside(accounts.tokens.make, "ana", "caja")
    with pytest.raises(Conflict):
        await aside(accounts.tokens.make, "ana", "caja")
    await aside(accounts.tokens.make, "rosa", "caja")
    for wrong in ("x" * 41, "a\x00b", "a\u202eb"):
        with pytest.raises(BadRequest):
            await aside(accounts.tokens.make, "ana", wrong)


async def test_a_session_that_a_token_began_ends_with_the_token(accounts: Accounts, doorkeeper: Doorkeeper) -> None:
    token = await aside(accounts.tokens.make, "ana", "caja")
    by_token = await doorkeeper.sign_in("ana", token, HERE)
    by_password = await doorkeeper.sign_in("ana", PASSWORD, HERE)
    assert isinstance(by_token, SignedIn)
    assert isinstance(by_password, SignedIn)
    assert await doorkeeper.who(by_token.session) is not None
    await aside(accounts.tokens.revoke, "ana", token[:14])
    assert await doorkeeper.who(by_token.session) is None
    assert await doorkeeper.who(by_password.session) is not None


async def test_a_token_that_only_reads_signs_nobody_in(accounts: Accounts, doorkeeper: Doorkeeper) -> None:
    token = await aside(accounts.tokens.make, "ana", "hoja", Scope.READ)
    assert await doorkeeper.sign_in("ana", token, HERE) == Refused()


async def test_a_token_that_only_reads_hands_nothing_in(accounts: Accounts, identity: Identity) -> None:
    token = await aside(accounts.tokens.make, "ana", "hoja", Scope.READ)
    headers = {"Authorization": f"Bearer {token}"}
    assert await identity.merchant_of(make_mocked_request("GET", "/api/v1/orders", headers=headers)) == "ana"
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        with pytest.raises(NotAllowed, match="only reads"):
            await identity.merchant_of(make_mocked_request(method, "/api/v1/orders", headers=headers))


async def test_a_cashiers_token_is_known_as_the_cashiers_and_is_no_merchants(
    accounts: Accounts, identity: Identity
) -> None:
    token = await aside(accounts.tokens.make, "pedro")
    request = make_mocked_request("POST", "/api/v1/orders", headers={"Authorization": f"Bearer {token}"})
    caller = await identity.caller_of(request)
    assert (caller.shop, caller.name) == ("ana", "pedro")
    with pytest.raises(NotAllowed):
        await identity.merchant_of(request)


@pytest.mark.parametrize("name", ["ana", "pedro"])
async def test_a_token_of_a_blocked_shop_is_refused_with_a_sentence(
    accounts: Accounts, identity: Identity, name: str
) -> None:
    token = await aside(accounts.tokens.make, name)
    await aside(accounts.block, "ana")
    with pytest.raises(NotAllowed, match="blocked"):
        await identity.caller_of(make_mocked_request("GET", "/", headers={"Authorization": f"Bearer {token}"}))


async def test_a_token_in_an_address_is_not_looked_at(accounts: Accounts, identity: Identity) -> None:
    token = await aside(accounts.tokens.make, "ana")
    for path in (f"/api/v1/orders?access_token={token}", f"/api/v1/orders?token={token}"):
        with pytest.raises(NotSignedIn):
            await identity.merchant_of(make_mocked_request("GET", path))

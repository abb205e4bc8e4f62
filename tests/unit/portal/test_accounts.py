"""Of a secret only a hash is kept; what is shown once works as often as it should; a sign-in ends."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import BadRequest, CannotStart, Conflict, NotAllowed, NotFound
from gateway.portal.accounts import Accounts
from gateway.portal.credentials import Role
from gateway.portal.lockout import FORGET_S, KEYS_MAX, Lockout
from gateway.portal.sessions import LIFETIME_S, SESSIONS_MAX, Sessions
from tests.clocks import HandClock

PASSWORD = "seis llamas al alba"


@pytest.fixture
def accounts(tmp_path: Path, clock: HandClock) -> Iterator[Accounts]:
    made = Accounts(tmp_path, clock)
    yield made
    made.close()


def test_a_password_is_kept_as_argon2id_and_nothing_else(accounts: Accounts, tmp_path: Path) -> None:
    accounts.add("rosa", "merchant", PASSWORD)
    stored = accounts.password_hash("rosa")
    assert stored is not None
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    accounts.close()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert PASSWORD.encode() not in written


def test_the_file_is_for_the_box_alone(accounts: Accounts, tmp_path: Path) -> None:
    accounts.add("rosa", "merchant", PASSWORD)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o600}


def test_only_the_right_password_opens(accounts: Accounts) -> None:
    accounts.add("rosa", Role.MERCHANT, PASSWORD)
    found = accounts.check_password("rosa", PASSWORD)
    assert found is not None
    assert found.role is Role.MERCHANT
    assert accounts.check_password("rosa", PASSWORD.upper()) is None
    assert accounts.check_password("nadie", PASSWORD) is None


def test_a_token_is_not_in_the_file_and_opens_until_it_is_revoked(accounts: Accounts, tmp_path: Path) -> None:
    accounts.add("rosa", "merchant", None)
    first, second = accounts.new_token("rosa"), accounts.new_token("rosa")
    for token in (first, second):
        found = accounts.tokens.of(token)
        assert found is not None
        assert found.account.name == "rosa"
        assert not any(token.encode() in path.read_bytes() for path in tmp_path.iterdir())
    assert accounts.revoke_tokens("rosa") == 2
    assert accounts.tokens.of(first) is None


def test_the_setup_code_makes_one_technician(accounts: Accounts) -> None:
    code = accounts.setup_code()
    assert code is not None
    with pytest.raises(NotAllowed):
        accounts.set_up("0000-0000-0000-0000", "ana", PASSWORD)
    made = accounts.set_up(code.lower().replace("-", " "), "ana", PASSWORD)
    assert made.role is Role.TECHNICIAN
    with pytest.raises(NotAllowed):
        accounts.set_up(code, "eva", PASSWORD)
    assert accounts.setup_code() is None
    assert not accounts.needs_setup()


def test_a_restart_before_setup_makes_a_fresh_code_and_voids_the_old(accounts: Accounts) -> None:
    old, fresh = accounts.setup_code(), accounts.setup_code()
    assert old is not None
    assert fresh is not None
    with pytest.raises(NotAllowed):
        accounts.set_up(old, "ana", PASSWORD)
    accounts.set_up(fresh, "ana", PASSWORD)


def test_a_link_works_once_and_not_after_its_time(accounts: Accounts, clock: HandClock) -> None:
    accounts.add("rosa", "merchant", None)
    code = accounts.new_link("rosa", 600)
    used = accounts.use_link(code)
    assert used is not None
    assert used.name == "rosa"
    assert accounts.use_link(code) is None
    late = accounts.new_link("rosa", 600)
    clock.pass_s(601)
    assert accounts.use_link(late) is None


def test_a_removed_account_leaves_nothing_that_opens(accounts: Accounts, clock: HandClock) -> None:
    accounts.add("rosa", "merchant", PASSWORD)
    sessions = Sessions(accounts.database, clock, 3_600)
    token, code, session = accounts.new_token("rosa"), accounts.new_link("rosa", 600), sessions.begin("rosa")
    accounts.remove("rosa")
    assert accounts.tokens.of(token) is None
    assert accounts.use_link(code) is None
    assert sessions.find(session) is None
    with pytest.raises(NotFound):
        accounts.remove("rosa")


def test_names_and_passwords_have_rules_and_a_name_is_taken_once(accounts: Accounts) -> None:
    for name in ("Rosa", "", "-rosa", "a" * 33, "ro sa"):
        with pytest.raises(BadRequest):
            accounts.add(name, "merchant", PASSWORD)
    for password in ("nine char", "x" * 129):
        with pytest.raises(BadRequest):
            accounts.add("rosa", "merchant", password)
    accounts.add("rosa", "merchant", PASSWORD)
    with pytest.raises(Conflict):
        accounts.add("rosa", "nurse", PASSWORD)
    assert [account.name for account in accounts.list()] == ["rosa"]


def test_a_command_beside_a_running_box_sees_and_changes_the_same_accounts(
    accounts: Accounts, tmp_path: Path, clock: HandClock
) -> None:
    accounts.add("rosa", "merchant", PASSWORD)
    command = Accounts(tmp_path, clock)
    token = command.new_token("rosa")
    assert accounts.tokens.of(token) is not None
    command.remove("rosa")
    command.close()
    assert accounts.list() == []


def test_a_file_that_is_no_database_stops_the_start_with_a_sentence(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "accounts.sqlite3").write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(CannotStart, match="accounts' file"):
        Accounts(tmp_path, clock).list()


def test_a_session_ends_when_unused_and_after_thirty_days(accounts: Accounts, clock: HandClock) -> None:
    accounts.add("rosa", "merchant", None)
    sessions = Sessions(accounts.database, clock, 3_600)
    session = sessions.begin("rosa")
    for _ in range(int(LIFETIME_S / 3_000) - 1):
        clock.pass_s(3_000)
        assert sessions.find(session) is not None, "used in time, it goes on"
    clock.pass_s(3_500)
    assert sessions.find(session) is None, "thirty days are over"
    unused = sessions.begin("rosa")
    clock.pass_s(3_601)
    assert sessions.find(unused) is None


def test_signing_in_again_ends_the_session_before_and_the_oldest_beyond_the_limit(
    accounts: Accounts, clock: HandClock
) -> None:
    accounts.add("rosa", "merchant", None)
    sessions = Sessions(accounts.database, clock, 3_600)
    first = sessions.begin("rosa")
    second = sessions.begin("rosa", former=first)
    assert sessions.find(first) is None
    for _ in range(SESSIONS_MAX):
        clock.pass_s(1)
        sessions.begin("rosa")
    assert sessions.find(second) is None


def test_a_reusable_link_works_again_until_its_time(accounts: Accounts, clock: HandClock) -> None:
    accounts.add("ana", "merchant", "a long password")
    code = accounts.new_link("ana", 60, reusable=True)
    assert [accounts.use_link(code) is not None for _ in range(2)] == [True, True]
    clock.pass_s(61)
    assert accounts.use_link(code) is None


def test_a_new_password_ends_sessions_and_links(accounts: Accounts, clock: HandClock) -> None:
    accounts.add("rosa", "merchant", PASSWORD)
    sessions = Sessions(accounts.database, clock, 3_600)
    session, code = sessions.begin("rosa"), accounts.new_link("rosa", 600)
    accounts.set_password("rosa", "otra frase larga")
    assert sessions.find(session) is None
    assert accounts.use_link(code) is None
    assert accounts.check_password("rosa", "otra frase larga") is not None


def test_pauses_grow_for_one_address_and_never_touch_another() -> None:
    lockout, now_s, waits = Lockout(), 0.0, []
    for _ in range(9):
        now_s += lockout.wait_s("rosa", "10.0.0.7", now_s)
        lockout.count_try("rosa", "10.0.0.7", now_s)
        waits.append(lockout.wait_s("rosa", "10.0.0.7", now_s))
    assert waits == [0, 0, 0, 0, 2, 4, 8, 16, 32]
    assert lockout.wait_s("rosa", "10.0.0.8", now_s) == 0
    assert lockout.wait_s("rosa", "10.0.0.7", now_s + FORGET_S) == 0
    lockout.forgive("rosa", "10.0.0.7")
    assert lockout.wait_s("rosa", "10.0.0.7", now_s) == 0


def test_what_is_remembered_of_failures_is_bounded() -> None:
    lockout = Lockout()
    for number in range(KEYS_MAX):
        lockout.count_try(f"n{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert len(lockout._failures) == KEYS_MAX

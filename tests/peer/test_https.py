"""With a certificate the portal and the door speak HTTPS, and sign-in cookies are bound to it."""

import asyncio
import datetime as dt
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.village import CHECKOUT, started, stopped

HOST = "tambo.test"
CONFIG = """
[box]
name = "san-mateo"
[portal]
http = "127.0.0.1:0"
https = "127.0.0.1:0"
certificate = "box.pem"
key = "box.key"
hosts = ["{host}"]
[clinic]
door = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
"""


def certify(folder: Path) -> ssl.SSLContext:
    """Write a certificate and its key for the portal's name; return what a browser that trusts it holds."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    begins = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(begins + dt.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "box.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "box.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return ssl.create_default_context(cafile=str(folder / "box.pem"))


@pytest.fixture
def secure_box(tmp_path: Path) -> Iterator[tuple[dict[str, int], ssl.SSLContext]]:
    """A box with HTTPS: its listeners' ports by name, and a context that trusts it."""
    trust = certify(tmp_path)
    config, log = tmp_path / "tambo.toml", tmp_path / "log"
    config.write_text(CONFIG.format(host=HOST))
    process, line = started([*CHECKOUT, "run", "--config", config], log)
    assert process.stdout is not None
    lines = [line, *(process.stdout.readline() for _ in range(3))]
    found = [re.fullmatch(r"(.+) listens on .*:(\d+)\n", each) for each in lines]
    yield {each[1]: int(each[2]) for each in found if each}, trust
    stopped(process, log)


async def get(port: int, path: str, trust: ssl.SSLContext) -> tuple[int, str, list[str]]:
    """Ask over HTTPS by the portal's name; return status, text and the cookies set."""
    async with aiohttp.ClientSession() as session:
        url = f"https://127.0.0.1:{port}{path}"
        headers = {"Host": f"{HOST}:{port}", "Accept": "text/html"}
        async with session.get(url, ssl=trust, server_hostname=HOST, headers=headers) as answer:
            return answer.status, await answer.text(), answer.headers.getall("Set-Cookie", [])


async def test_the_portal_and_the_door_speak_https(secure_box: tuple[dict[str, int], ssl.SSLContext]) -> None:
    ports, trust = secure_box
    assert set(ports) == {"portal", "portal (https)", "door", "admin"}
    status, text, _ = await get(ports["portal (https)"], "/", trust)
    assert status == 200
    assert "<h1>" in text
    assert (await get(ports["door"], "/", trust))[0] == 404, "it shows nothing but consultations"
    status, _, cookies = await get(ports["portal (https)"], "/entrar", trust)
    assert status == 200
    assert cookies
    for cookie in cookies:
        if "__Host-" in cookie:
            assert "Secure" in cookie
            assert "Path=/" in cookie
            assert "Domain" not in cookie
    assert any("__Host-" in cookie and "HttpOnly" in cookie for cookie in cookies)


async def test_plain_http_at_the_https_port_is_no_answer(
    secure_box: tuple[dict[str, int], ssl.SSLContext],
) -> None:
    ports, _ = secure_box
    reader, writer = await asyncio.open_connection("127.0.0.1", ports["portal (https)"])
    writer.write(b"GET / HTTP/1.1\r\nHost: tambo.test\r\n\r\n")
    async with asyncio.timeout(10):
        assert b"<h1>" not in await reader.read()
    writer.close()

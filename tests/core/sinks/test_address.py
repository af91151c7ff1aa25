from __future__ import annotations

import pytest

import gangplank
from gangplank import ConfigurationError
from gangplank.core.sinks.address import Address, parse, without_credentials
from gangplank.core.sinks.hidden import Hidden


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9091", Address("http", "127.0.0.1", 9091)),
        ("gateway:9091/", Address("http", "gateway", 9091)),
        ("http://gateway:9091", Address("http", "gateway", 9091)),
        ("HTTP://Gateway:9091/", Address("http", "gateway", 9091)),
        ("http://gateway", Address("http", "gateway", 80)),
        ("https://gateway", Address("https", "gateway", 443)),
        ("https://gateway/prefix/", Address("https", "gateway", 443, "/prefix")),
        ("gateway:9091/a/b", Address("http", "gateway", 9091, "/a/b")),
        ("https://gateway:8443/a b".replace(" ", "%20"), Address("https", "gateway", 8443, "/a%20b")),
        ("[::1]:9091", Address("http", "::1", 9091)),
        ("https://[2001:db8::1]/x", Address("https", "2001:db8::1", 443, "/x")),
        ("http://bücher.example:9091/ü", Address("http", "xn--bcher-kva.example", 9091, "/%C3%BC")),
        ("http://me:p%40ss@gateway:9091", Address("http", "gateway", 9091, "", Hidden(("me", "p@ss")))),
        ("me:secret@gateway:9091", Address("http", "gateway", 9091, "", Hidden(("me", "secret")))),
        ("https://me@gateway", Address("https", "gateway", 443, "", Hidden(("me", "")))),
    ],
)
def test_an_address_is_read_as_it_is_meant(text: str, address: Address) -> None:
    assert parse(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "gateway", "gateway:", ":9091", "gateway:x", "gateway:99999", "gateway:0", "gateway:-1", "::1:9091"),
        *("[::1", "ftp://gateway:9091", "unix:///run/x.sock", "http://", "http://:9091", "http:///x"),
        *("gateway:9091?x=1", "gateway:9091#x", "gate way:9091", "gateway:9091\n", "gateway:9091/a\tb", "a\x00b:1"),
        *("http://gateway:port/", "file:///x.prom"),
    ],
)
def test_what_is_no_address_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ConfigurationError, match="write host:port"):
        parse(text)


@pytest.mark.parametrize("value", [None, 9091, b"gateway:9091"])
def test_an_address_is_text(value: object) -> None:
    with pytest.raises(ConfigurationError, match="write host:port"):
        parse(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        *("http://me:canary@gateway", "me:canary@gateway:x", "http://me:can/ary@canary@gateway:9091?x"),
        *("ftp://me:canary@gateway", "http://me:canary@", "http://x:canary/@gateway:x", "me:canary@gateway\n:1"),
    ],
)
def test_a_password_is_never_shown(text: str) -> None:
    try:
        shown = f"{parse(text)!r} {parse(text)}"
    except ConfigurationError as error:
        shown = f"{error} {error.__cause__} {error.__context__}"
    assert "ary" not in shown.replace("gateway", "")


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("http://me:pw@gateway:9091/x", "http://gateway:9091/x"),
        ("me:p/w@gateway:9091", "gateway:9091"),
        ("file:///data/me@corp/x.prom", "file:///data/me@corp/x.prom"),
        ("kafka://broker/topic@2", "kafka://broker/topic@2"),
        ("kafka://me:p/w@broker/topic", "kafka://broker/topic"),
        ("kafka://me:pw@a:1,b:2/topic@2", "kafka://a:1,b:2/topic@2"),
        ("scrape://:pw@127.0.0.1:9464", "scrape://127.0.0.1:9464"),
    ],
)
def test_an_address_without_credentials_is_otherwise_the_same(text: str, bare: str) -> None:
    assert without_credentials(text) == bare


@pytest.mark.parametrize("text", ["scrape://:canary@127.0.0.1:9464", "file://u:canary@h/x.prom", "a:1?token=canary"])
def test_no_refusal_shows_a_password(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        gangplank.run(text, "digits")
    assert "canary" not in str(raised.value)

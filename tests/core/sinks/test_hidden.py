"""Secrets: what holds one shows nothing of it, and what a peer says loses it in every form."""

from __future__ import annotations

import base64
import copy
import dataclasses
import pickle
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gangplank.core.sinks.address import AddressText, conceal, parse, whole
from gangplank.core.sinks.credentials import Access
from gangplank.core.sinks.hidden import Authorization, Hidden, hide, reveal
from support.escaping import ESCAPED

# Characters that some encoding writes in its own way.
PASSWORDS = st.text(st.sampled_from("aZ09 +/=&<>\"'%\\:;?#@.üß€😀"), min_size=4, max_size=30)


def basic(user: str, password: str) -> Authorization:
    return Access(lambda: (user, password)).authorization()


@pytest.mark.parametrize("escaped", ESCAPED.values(), ids=ESCAPED)
@pytest.mark.parametrize("password", ['c&n"a<r y/ü', "ca>>n??ar~~y", "canary"])
def test_a_password_is_struck_out_in_every_form_of_it(password: str, escaped: Callable[[str], str]) -> None:
    authorization = basic("me", password)
    header = authorization.header.reveal()
    token = base64.b64encode(f"me:{password}".encode()).decode()
    urlsafe = base64.urlsafe_b64encode(f"me:{password}".encode()).decode()
    assert header == f"Basic {token}"
    for secret in (header, token, token.rstrip("="), urlsafe, urlsafe.rstrip("="), f"me:{password}", password):
        assert authorization.strike(f"denied: <{escaped(secret)}>, me").replace("***=", "***") in (
            "denied: <***>, me",
            "denied: <***=>, me",
        )


@given(PASSWORDS, st.sampled_from(sorted(ESCAPED)), st.text(st.characters(categories=["L", "N", "Zs"]), max_size=20))
@example("    ", "as it is", "")
@example('0"\\0', "HTML", "")
def test_nothing_of_a_password_is_left_in_any_text(password: str, form: str, around: str) -> None:
    repeated = ESCAPED[form](password)
    struck = basic("me", password).strike(f"{around}{repeated}{around}")
    assert repeated not in struck
    assert password not in struck


@pytest.mark.parametrize(
    ("header", "secrets"),
    [
        ("Bearer abc.def-123", ["Bearer abc.def-123", "abc.def-123"]),
        ("Basic bWU6Y2FuYXJ5", ["Basic bWU6Y2FuYXJ5", "bWU6Y2FuYXJ5", "me:canary", "canary"]),
        ("basic   bWU6Y2FuYXJ5", ["canary"]),
        ("Basic not-base64!", ["not-base64!"]),
        ('Digest username="me", response="6629fae49393a053"', ["6629fae49393a053"]),
        ("opaque-token", ["opaque-token"]),
        ("Token token=abcdefgh", ["abcdefgh", "token=abcdefgh"]),
    ],
)
def test_a_whole_header_is_taken_apart(header: str, secrets: list[str]) -> None:
    authorization = Access(lambda: header).authorization()
    for secret in secrets:
        assert authorization.strike(f"<{secret}>") == "<***>"
    assert authorization.strike("401 Unauthorized: Basic authentication is required") == (
        "401 Unauthorized: Basic authentication is required"
    )


@pytest.mark.parametrize("length", range(1, 9))
def test_a_secret_that_a_limit_cuts_leaves_no_part(length: int) -> None:
    """The part at the end is dropped with what stands in front of it."""
    authorization = basic("me", "canary")
    for secret in (authorization.header.reveal(), "canary", quote("canary", safe="")):
        message = authorization.strike("x" * 500 + secret[:length], cut=True)
        assert set(message) == {"x"}


@pytest.mark.parametrize(
    ("text", "struck"),
    [
        ("Authorization: Basic bWU6Y2", "Authorization: ***"),
        ('{"authorization": ["Basic bWU6Y2"]}', '{"authorization": ["***"]}'),
        ("got Basic bWU6Y2Fu...", "got Basic ***..."),
        ("got Bearer 0123456789abc...", "got Bearer ***"),
        ("http://you:other@upstream/x", "http://***@upstream/x"),
        ("Bearer token required", "Bearer token required"),
        ('Basic realm="gateway"', 'Basic realm="gateway"'),
    ],
)
def test_what_looks_like_credentials_is_struck_out_too(text: str, struck: str) -> None:
    """A proxy may have cut them short, or have some of its own."""
    assert basic("me", "canary").strike(text) == struck


def test_base64_in_lines_is_found() -> None:
    password = "a long pass phrase, " * 5
    lines = base64.encodebytes(f"me:{password}".encode()).decode()
    assert lines.count("\n") > 1
    assert basic("me", password).strike(f"<{lines}>").startswith("<***")
    assert not any(line in basic("me", password).strike(f"<{lines}>") for line in lines.split())


@pytest.mark.parametrize("password", ["x", "ab", "abc"])
def test_a_password_of_very_few_characters_withholds_the_whole_message(password: str) -> None:
    """What is left of a text without each of its letters `a` is nonsense, and says what the password is."""
    withheld = "(text withheld, since it may contain the credentials)"
    for text in ("a bad message", "nothing of it", f"<{password}>"):
        assert basic("me", password).strike(text) == withheld
    assert not basic("me", password).strike("")
    token = base64.b64encode(f"me:{password}".encode()).decode()
    assert basic("me", password).strike_value(f"{token} abc") == "*** abc"


def test_without_credentials_nothing_changes() -> None:
    assert Authorization(None).strike("Authorization: Basic bWU6Y2FuYXJ5", cut=True) == (
        "Authorization: Basic bWU6Y2FuYXJ5"
    )


@pytest.mark.parametrize(("user", "shown"), [("me", "user me"), ("a-token-of-many-characters", "user ***")])
def test_a_user_name_may_be_shown_unless_it_may_be_a_token(user: str, shown: str) -> None:
    assert basic(user, "canary").strike(f"user {user}") == shown
    assert basic("token", "").strike("user token") == "user ***"


def test_a_hidden_value_shows_in_no_repr_and_no_copy() -> None:
    secret = Hidden(("me", "canary"))
    for shown in (repr(secret), str(secret), repr([secret]), repr(copy.deepcopy(secret)), repr(vars(type(secret)))):
        assert "canary" not in shown
    assert secret == Hidden(("me", "canary"))
    assert len({secret, copy.copy(secret), Hidden(("me", "canary"))}) == 1
    with pytest.raises(TypeError, match="a secret cannot be pickled"):
        pickle.dumps(secret)
    assert reveal(pickle.loads(pickle.dumps(hide(len)))) is len
    assert hide(len)("four") == 4
    assert hide(None) is None


def test_an_address_reads_without_its_credentials() -> None:
    address = conceal("https://me:canary@gateway/push?token=x")
    assert isinstance(address, AddressText)
    assert address == "https://gateway/push"
    assert repr(address) == "'https://gateway/push'"
    assert whole(copy.deepcopy(address)) == "https://me:canary@gateway/push?token=x"
    assert whole(pickle.loads(pickle.dumps(address))) == "https://gateway/push?token=x"
    assert conceal(address) is address
    parsed = parse("https://me:canary@gateway")
    assert "canary" not in f"{parsed!r} {dataclasses.asdict(parsed)}"

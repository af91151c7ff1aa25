"""Secrets that nothing shows: no repr and no copy of what holds one, and no text of a peer that repeats one."""

from __future__ import annotations

import base64
import bisect
import contextlib
import html
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import unquote

T = TypeVar("T")

# A secret of so few characters is in most texts by chance: what is left without it would show which it is.
_SHORT = 3
# One of so many characters is found even if spaces or line breaks are in it.
_LONG = 12
# A user name of so many characters may be a token.
_TOKEN = 16
# A text is unescaped so often, in every order: it may be JSON inside HTML. An escape takes up to so many characters.
_LEVELS, _LONGEST_ESCAPE = 3, 8
_ESCAPES = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (r"(?:%[0-9a-f]{2})+", r"&#?\w+;", r"(?:\\u[0-9a-f]{4})+|\\x[0-9a-f]{2}|\\.")
)
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t"}
# What looks like credentials: a peer may have cut them short, or a handler may have sent them.
_SECRET_LOOKS = tuple(
    re.compile(pattern)
    for pattern in (
        r"""(?i:authorization)["'\s]*[:=]\s*["'\[]*((?:\w+\s+)?[^\s"'<>,;\]]+)""",
        r"\b(?i:basic)\s+((?=\S+[A-Z0-9=])[A-Za-z0-9+/_-]{6,}=*)",
        r"\b(?i:bearer)\s+((?=\S*[0-9.])[\w.~+/-]{8,}=*)",
        r"://([^/\s@:]+:[^/\s@]*)@",
    )
)
_STANDARD, _URL_SAFE = str.maketrans("-_", "+/"), str.maketrans("+/", "-_")  # the alphabets of Base64
_WITHHELD = "(text withheld, since it may contain the credentials)"


class Hidden:
    """Holds a value that may be, or contain, a secret: whatever prints it prints `***`.

    It can be called if the value can. A copy is the same object. A pickle may hold a function, but no other value.
    """

    __slots__ = ("reveal",)

    def __init__(self, value: object) -> None:
        self.reveal: Callable[[], Any] = lambda: value

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the value."""
        return self.reveal()(*arguments, **options)

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hidden) and bool(self.reveal() == other.reveal())

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __copy__(self) -> Hidden:
        return self

    def __deepcopy__(self, memo: object) -> Hidden:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if not callable(self.reveal()):
            raise TypeError("a secret cannot be pickled")
        return Hidden, (self.reveal(),)


def hide(given: T) -> T:
    """Return what was given, hidden, unless it is None; it is called as before."""
    return given if given is None or isinstance(given, Hidden) else Hidden(given)  # type: ignore[return-value]


def reveal(given: T) -> T:
    """Return what was given to `hide`."""
    return given.reveal() if isinstance(given, Hidden) else given


class Authorization:
    """An `Authorization` header, and what to strike out of the texts of a peer, who may repeat it in any form.

    Args:
        header: its value; None for no header, so that there is no secret.
        secrets: what it stands for, such as a password.
    """

    def __init__(self, header: str | None, secrets: Iterable[str] = ()) -> None:
        self.header = Hidden(header)
        found = () if header is None else {*secrets, *_secrets_in(header)} - {""}
        self._secrets = Hidden(sorted(found))
        self._patterns = Hidden(None)  # made when they are needed

    def strike(self, message: str, *, cut: bool = False) -> str:
        """Return a peer's message with `***` in place of the secrets; withheld, if one has very few characters.

        Args:
            message: not shortened yet, since a part of a secret would not be found.
            cut: whether there was more of it, so that it may end within a secret.
        """
        secrets = self._secrets.reveal()
        if message.strip() and any(len(secret) <= _SHORT for secret in secrets):
            return _WITHHELD
        struck = self.strike_value(message)
        return struck[: -_LONGEST_ESCAPE * max(map(len, secrets))] if cut and secrets else struck

    def strike_value(self, text: str) -> str:
        """Return a value from a peer's page as `strike` does; a secret of very few characters stays in it."""
        if self.header.reveal() is None:
            return text
        if self._patterns.reveal() is None:
            known = (secret for secret in self._secrets.reveal() if len(secret) > _SHORT)
            self._patterns = Hidden([*itertools.chain.from_iterable(map(_patterns, known)), *_SECRET_LOOKS])
        return _without(text, self._patterns.reveal())


def secrets_of(user: str, password: str) -> Iterator[str]:
    """Yield what must not be shown of a user's credentials: a user name may be shown, unless it may be a token."""
    if password:
        yield password
        yield f"{user}:{password}"
    if len(user) >= _TOKEN or (not password and len(user) > _SHORT):
        yield user


def _secrets_in(header: str) -> Iterator[str]:
    scheme, _, token = header.partition(" ")
    yield from (header, token)
    for part in re.findall(r"""[^\s,;="']{8,}""", token):
        yield part
        if scheme.lower() == "basic":
            with contextlib.suppress(ValueError):  # it is not Base64
                decoded = base64.b64decode(f"{part.translate(_STANDARD)}==").decode(errors="surrogateescape")
                yield from secrets_of(*decoded.partition(":")[::2])


def _patterns(secret: str) -> Iterator[re.Pattern[str]]:
    """Yield patterns that find a secret in a text without escapes."""
    forms = {secret, secret.replace(" ", "+"), secret.translate(_URL_SAFE)}
    if not secret.isascii():  # what is left of it after decoding with another encoding
        raw = secret.encode(errors="surrogateescape")
        forms |= {raw.decode("latin-1"), raw.decode("ascii", "replace"), secret.encode("ascii", "replace").decode()}
        forms |= {secret.encode("latin-1", "replace").decode(errors="replace"), secret.upper(), secret.lower()}
    for form in forms:
        characters = "".join(form.split()).rstrip("=")
        is_long = len(characters) >= _LONG
        yield re.compile(r"\s*".join(map(re.escape, characters)) if is_long else re.escape(form), re.IGNORECASE)


def _without(text: str, patterns: Sequence[re.Pattern[str]]) -> str:
    """Return a text with `***` for what the patterns find, escaped or not: their group, if they have one."""
    struck = bytearray(len(text))
    for plain, places in _readings(text):
        for pattern in patterns:
            for found in pattern.finditer(plain):
                first, last = found.start(pattern.groups), found.end(pattern.groups) - 1
                begin, end = places[first], places[bisect.bisect_right(places, places[last])]
                struck[begin:end] = b"\1" * (end - begin)
    runs = itertools.groupby(zip(text, struck, strict=True), key=lambda pair: pair[1])
    return "".join("***" if is_struck else "".join(character for character, _ in run) for is_struck, run in runs)


def _readings(text: str) -> Iterator[tuple[str, Sequence[int]]]:
    """Yield a text as it is and unescaped in each way, each with where its characters, and its end, are in the text."""
    readings: list[tuple[str, Sequence[int]]] = [(text, range(len(text) + 1))]
    for _ in range(_LEVELS + 1):
        yield from readings
        escaped = ((one, escape) for one in readings for escape in _ESCAPES if escape.search(one[0]))
        readings = list(
            {reading[0]: reading for reading in (_unescaped(*one, escape) for one, escape in escaped)}.values()
        )


def _unescaped(text: str, places: Sequence[int], escape: re.Pattern[str]) -> tuple[str, Sequence[int]]:
    pieces, origins, done = [], list[int](), 0
    for found in escape.finditer(text):
        begin, end = found.span()
        meaning = _meaning(found[0])
        pieces += [text[done:begin], meaning]
        origins += [*places[done:begin], *[places[begin]] * len(meaning)]
        done = end
    return "".join((*pieces, text[done:])), [*origins, *places[done:]]


def _meaning(escape: str) -> str:
    if escape[0] == "%":
        return unquote(escape)
    if escape[0] == "&":
        return html.unescape(escape)
    if len(escape) > 2:  # noqa: PLR2004  hexadecimal digits follow the letter
        digits = escape.lower().replace("\\u", "").replace("\\x", "00")
        return bytes.fromhex(digits).decode("utf-16-be", "replace")
    return _CONTROLS.get(escape[1], escape[1])

"""The ways in which a peer may repeat a text that it was sent."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

#: As it came, or as that writes it with which a peer makes its message.
ESCAPED: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent": lambda text: quote(text, safe=""),
    "percent, lower case": lambda text: quote(text, safe="").lower(),
    "percent, every byte": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "percent, twice": lambda text: quote(quote(text)),
    "a form": quote_plus,
    "HTML": html.escape,
    "HTML, decimal": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "HTML, hexadecimal": lambda text: "".join(f"&#x{ord(character):X};" for character in text),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON as Go writes it": lambda text: json.dumps(text)[1:-1].replace("&", r"\u0026").replace("<", r"\u003c"),
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON in HTML": lambda text: html.escape(json.dumps(text)[1:-1]),
    "Python": lambda text: repr(text)[1:-1],
    "Python's bytes": lambda text: repr(text.encode())[2:-1],
    "as Latin-1": lambda text: text.encode().decode("latin-1"),
    "as ASCII": lambda text: text.encode("ascii", "replace").decode(),
    "upper case": str.upper,
    "lower case": str.lower,
}

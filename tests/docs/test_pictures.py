"""The pictures of the documentation: each is small, and is shown somewhere, with a text for those who cannot see it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
MOST_BYTES = 150_000


def test_each_picture_is_small_and_is_shown_with_a_text() -> None:
    shown: dict[Path, str] = {}
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for text, target in re.findall(r"!\[([^\]]*)\]\(([^)]+\.png)\)", page.read_text()):
            shown[(page.parent / target).resolve()] = text
    assert set(shown) == set(PICTURES.iterdir()) != set()
    assert all(len(text) > 40 for text in shown.values())
    for picture in shown:
        content = picture.read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) <= MOST_BYTES

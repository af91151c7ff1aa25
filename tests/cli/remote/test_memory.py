"""What is remembered of a server's texts: the short ones."""

from __future__ import annotations

from gangplank.cli.remote.memory import remembering


def test_a_text_is_looked_at_once_unless_it_is_long() -> None:
    seen = []

    def look(*texts: str) -> int:
        seen.append(texts)
        return len(texts[0])

    remembered = remembering(look)
    long = "x" * 1_001
    assert [remembered("a", "b"), remembered("a", "b"), remembered(long, ""), remembered(long, "")] == [
        1,
        1,
        1001,
        1001,
    ]
    assert seen == [("a", "b"), (long, ""), (long, "")]

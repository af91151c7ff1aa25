"""Reading page after page: what is known of one page is true of the next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangplank.cli.remote.reader import GroupsReader
from gangplank.core.errors import GangplankError

LABELS = st.tuples(st.sampled_from("ab"), st.sampled_from(["", "x", "y"]), st.sampled_from(["", "r1", "r2"]))
VALUES = st.dictionaries(LABELS, st.integers(0, 3), max_size=6)
# The groups that there are, by job and team, and the samples of two families. A team may be in the key, or it is a
# label of the sample.
PAGES = st.tuples(st.sets(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "x"]))), VALUES, VALUES)


def labels(job: str, team: str, run: str = "") -> str:
    more = "".join(f',{name}="{value}"' for name, value in (("run", run), ("team", team)) if value)
    return f'{{instance="",job="{job}"{more}}}'


def written(groups: set[tuple[str, str]], *families: dict[tuple[str, str, str], int]) -> str:
    lines = [
        f"{name}{labels(*group)} 1e9" for name in ("push_time_seconds", "push_failure_time_seconds") for group in groups
    ]
    for name, type_, samples in zip(("a", "b"), ("gauge", "counter"), families, strict=True):
        lines.append(f"# TYPE gangplank_{name} {type_}")
        lines += [f"gangplank_{name}{labels(*key)} {value}" for key, value in samples.items()]
    return "\n".join([*lines, ""])


@given(st.lists(PAGES, max_size=5))
def test_a_page_is_read_as_if_it_were_the_first(
    pages: list[tuple[set[tuple[str, str]], dict[tuple[str, str, str], int], dict[tuple[str, str, str], int]]],
) -> None:
    reader = GroupsReader()
    for page in map(written, *zip(*pages, strict=True)) if pages else ():
        assert reader.read(page) == GroupsReader().read(page)


def test_a_line_belongs_to_the_group_with_the_longest_key_that_there_is_now() -> None:
    reader = GroupsReader()
    sample = {("a", "x", "r1"): 1}
    [group] = reader.read(written({("a", "")}, sample, {}))
    assert (group.run, [one.labels for one in group.series]) == ("r1", [{"team": "x"}])
    plain, of_team = sorted(reader.read(written({("a", ""), ("a", "x")}, sample, {})), key=lambda one: len(one.labels))
    assert (plain.series, [one.labels for one in of_team.series]) == ([], [{}])


def test_of_two_keys_of_the_same_length_always_the_same_one_gets_a_sample() -> None:
    names = [f"label_{number}" for number in range(20)]
    labels = ",".join(f'{name}="x"' for name in names)
    sample = f'gangplank_run_step{{job="a",{labels}}} 1\n'
    times = [f'push_time_seconds{{job="a",{name}="x"}} 1e9\n' for name in names]
    for keys in (times, times[::-1], times[7:], times[3::2] + times[:3]):
        groups = GroupsReader().read("".join([sample, *keys]))
        assert [group.key.labels[1][0] for group in groups if group.series] == [
            min(key.split(",")[1].split("=")[0] for key in keys)
        ]


def test_a_family_that_has_another_type_now() -> None:
    reader = GroupsReader()
    for type_ in ("gauge", "counter", "untyped"):
        page = f"# TYPE gangplank_a {type_}\ngangplank_a{labels('a', '')} 1\npush_time_seconds{labels('a', '')} 1e9\n"
        [group] = reader.read(page)
        assert [one.type for one in group.series] == [type_]


@pytest.mark.parametrize("line", ["a{%s} 1", '%s"{} 1', "gangplank_a{%s", "gangplank_a{} %s"])
def test_no_part_of_a_secret_is_in_the_reason(line: str) -> None:
    secret = "correct-horse-battery-staple"  # noqa: S105
    reader = GroupsReader(lambda text: text.replace(secret, "***"), lambda _: True)
    for before in range(60, 110):
        page = "gangplank_" + line % ("x" * before + secret) + "\n"
        with pytest.raises(GangplankError) as raised:
            reader.read(page)
        assert "corr" not in str(raised.value)
        assert len(str(raised.value)) < 250

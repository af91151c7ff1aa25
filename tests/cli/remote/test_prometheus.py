"""The answers of a Prometheus: what is cut out of them, and what is parsed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangplank.cli.remote.prometheus import Prometheus
from gangplank.core.errors import GangplankError
from support.verbs import served

TEXTS = st.text(max_size=8) | st.sampled_from(['},"value":[1,"2"]},', '{"metric":{"a":"b"}', "\\", '"', "\ud800"])
SERIES = st.tuples(st.dictionaries(TEXTS, TEXTS, max_size=3), st.integers(0, 10**10), st.floats())


@given(st.lists(SERIES, max_size=4))
def test_an_answer_means_the_same_however_it_is_written(series: list[tuple[dict[str, str], int, float]]) -> None:
    result = [{"metric": labels, "value": [time, str(value)]} for labels, time, value in series]
    data = {"data": {"resultType": "vector", "result": result}}
    as_prometheus_writes_it, otherwise = json.dumps(data, separators=(",", ":")), json.dumps(data)
    answers = iter([as_prometheus_writes_it, otherwise])
    with served(lambda *_: (200, {}, next(answers))) as (address, _):
        client = Prometheus(address)
        cut, parsed = ([(vars(one.labels), repr(one.value)) for one in client.instant("up")] for _ in range(2))
    assert cut == parsed
    assert [value for _, value in cut] == [repr(value) for _, _, value in series]


WHOLE = (
    '{"status":"success","data":{"resultType":"vector","result":['
    '{"metric":{"job":"a"},"value":[1,"2"]},{"metric":{"job":"b"},"value":[1,"3"]}]},"warnings":["\\"{"]}'
)


def values(answer: str) -> list[float]:
    with served(lambda *_: (200, {}, answer)) as (address, _):
        return [value for _, value in Prometheus(address).instant("up")]


def test_an_answer_that_is_cut_off_or_goes_on_is_not_taken_for_a_whole_one() -> None:
    assert values(WHOLE) == values(f"{WHOLE}\n") == [2, 3]
    for answer in (*(WHOLE[:end] for end in range(1, len(WHOLE))), f"{WHOLE}<html>", WHOLE.replace("},{", "}{")):
        with pytest.raises(GangplankError, match="is not a Prometheus"):
            values(answer)


def test_a_time_is_not_taken_for_a_value() -> None:
    with pytest.raises(GangplankError, match="is not a Prometheus"):
        values(WHOLE.replace("[1,", '["1",'))
    assert values(WHOLE.replace('"3"]}]', '3]}],"more":"5"')) == [2, 3]

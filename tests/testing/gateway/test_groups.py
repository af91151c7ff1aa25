"""What is a group, and what pushes and deletions make of each other."""

from __future__ import annotations

import pytest

from support.gateway_client import JOB, Client
from support.gateway_corpus import ANSWERS, GROUPS


@pytest.mark.parametrize("path", GROUPS)
def test_a_path_names_a_group(client: Client, path: str) -> None:
    assert client.put(path, b"m 1\n") == 200
    labels = ",".join(f'{name}="{value}"' for name, value in sorted(({"instance": ""} | GROUPS[path]).items()))
    assert list(client.times()) == [f"{{{labels}}}"]
    assert f"m{{{labels}}} 1" in client.lines()
    client.delete(path)
    assert client.page() == []


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_other_answers(client: Client, method: str, path: str, status: int) -> None:
    assert client.send(method, path)[0] == status
    client.touched.clear()
    assert client.times() == {}


def test_a_redirect_says_where_to(client: Client) -> None:
    client.connection.request("PUT", "/metrics//job/%C3%A9/./x/a%20b/")
    answer = client.connection.getresponse()
    answer.read()
    assert answer.getheader("Location") == "/metrics/job/%C3%A9/x/a%20b/"


def test_a_405_says_what_is_allowed(client: Client) -> None:
    for path, allowed in {"/metrics": "GET, OPTIONS", JOB: "DELETE, OPTIONS, POST, PUT"}.items():
        for method in ("HEAD", "OPTIONS", "PATCH"):
            client.connection.request(method, path)
            answer = client.connection.getresponse()
            answer.read()
            assert answer.getheader("Allow") == allowed


# What pushes and deletions make of each other


def test_put_replaces_the_group_and_post_families_of_it(client: Client) -> None:
    client.put(JOB, b'm{x="1"} 1\nm{x="2"} 2\nn 3\n')
    client.put(JOB + "/y/1", b"n 4\n")
    assert client.post(JOB, b'm{x="3"} 5\no 6\n') == 200
    types = ["# TYPE m untyped", "# TYPE n untyped", "# TYPE o untyped"]
    assert client.page() == [*types, 'm{x="3"} 5', "n 3", 'n{y="1"} 4', "o 6"]
    assert client.put(JOB, b"o 7\n") == 200
    assert client.page() == [*types[1:], 'n{y="1"} 4', "o 7"]


def test_an_empty_post_only_renews_the_time_and_an_empty_put_empties_the_group(client: Client) -> None:
    client.put(JOB, b"m 1\n")
    [(first, _)] = client.times().values()
    assert client.post(JOB) == 200
    [(second, _)] = client.times().values()
    assert second > first
    assert client.page() == ["# TYPE m untyped", "m 1"]
    assert client.put(JOB) == 200
    [(third, _)] = client.times().values()
    assert third > second
    assert client.page() == []


def test_delete_removes_the_exact_group(client: Client) -> None:
    client.put(JOB, b"m 1\n")
    client.put(JOB + "/x/1", b"m 2\n")
    client.put(JOB + "/x/1/y/2", b"m 3\n")
    client.delete(JOB + "/x/1")
    client.delete(JOB + "/x/2")
    assert client.page() == ["# TYPE m untyped", "m 1", 'm{x="1",y="2"} 3']
    assert list(client.times()) == ['{instance="",job="a"}', '{instance="",job="a",x="1",y="2"}']


def test_the_order_of_labels_in_the_path_does_not_matter(client: Client) -> None:
    client.put(JOB + "/x/1/y/2", b"m 1\n")
    client.put(JOB + "/y/2/x/1", b"n 2\n")
    assert client.page() == ["# TYPE n untyped", 'n{x="1",y="2"} 2']


def test_a_failure_time_outlives_later_pushes(client: Client) -> None:
    assert client.put(JOB, b"m 1 2\n") == 400
    assert client.put(JOB, b"m 1\n") == 200
    [(pushed, failed)] = client.times().values()
    assert pushed > failed > 0
    assert client.put(JOB, b"m 1 2\n") == 400
    assert client.times().popitem()[1][1] > pushed
    client.delete(JOB)
    assert client.times() == {}


def test_a_failure_time_can_be_pushed_to_a_group_that_has_one(client: Client) -> None:
    client.put(JOB)
    body = b'# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds{x="1"} 5\n'
    assert client.post(JOB, body) == 200
    assert 'push_failure_time_seconds{instance="",job="a",x="1"} 5' in client.lines()
    assert client.put(JOB) == 200
    assert 'push_failure_time_seconds{instance="",job="a",x="1"} 5' in client.lines()


def test_one_name_has_one_type_across_groups(client: Client) -> None:
    client.put(JOB, b"# TYPE m gauge\nm 1\n")
    assert client.put("/metrics/job/b", b"# TYPE m counter\nm 1\n") == 400
    assert client.put("/metrics/job/b", b"m 1\n") == 400
    assert client.put(JOB, b"# TYPE m counter\nm 1\n") == 200
    assert client.put("/metrics/job/b", b"# TYPE m counter\nm 1\n") == 200


def test_help_may_differ_across_groups(client: Client) -> None:
    client.put(JOB, b"# HELP m one\nm 1\n")
    assert client.put("/metrics/job/b", b"# HELP m two\nm 1\n") == 200
    assert client.put("/metrics/job/c", b"m 1\n") == 200
    assert client.page()[0] in ("# HELP m one", "# HELP m two", "# TYPE m untyped")


def test_no_two_groups_hold_one_series(client: Client) -> None:
    client.put(JOB, b'm{x="1"} 1\n')
    assert client.put(JOB + "/x/1", b"m 1\n") == 400
    assert client.put(JOB + "/x/2", b"m 1\n") == 200
    assert client.put(JOB + "/y/1", b'm{x="1"} 1\n') == 200
    assert client.put(JOB, b'm{x="1",y="1"} 1\n') == 400


def test_no_family_is_named_like_a_part_of_another_groups(client: Client) -> None:
    client.put(JOB, b"# TYPE h histogram\nh_sum 1\n# TYPE s summary\ns_sum 1\n")
    for part, status in {"h_sum": 400, "h_count": 400, "h_bucket": 400, "s_sum": 400, "s_bucket": 200}.items():
        assert client.put("/metrics/job/b", f"{part} 1\n".encode()) == status
    client.put("/metrics/job/c", b"i_bucket 1\n")
    assert client.put("/metrics/job/d", b"# TYPE i histogram\ni_sum 1\n") == 400
    assert client.put("/metrics/job/d", b"# TYPE i summary\ni_sum 1\n") == 200


def test_a_key_quantile_refuses_summaries_only(client: Client) -> None:
    assert client.put(JOB + "/quantile/1", b"# TYPE s summary\ns_sum 1\n") == 400
    assert client.put(JOB + "/quantile/1", b"# TYPE h histogram\nh_sum 1\n") == 200


def test_a_key_le_spoils_a_histogram(client: Client) -> None:
    assert client.put(JOB + "/le/x", b"# TYPE h histogram\nh_sum 1\n") == 200
    assert 'h_bucket{le="x",le="+Inf"} 0' in client.page()

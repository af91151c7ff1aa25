"""Bodies and paths, and what the Pushgateways 1.5.1 and 1.11.2 make of them; tests/testing/gateway sends each to all.

Only what a client may depend on belongs here, not each corner of their parsers.
"""

from __future__ import annotations

# Answered 200: the body, and the lines that are then on the page, in any order, less `instance="",job="a"`.
ACCEPTED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", ""),
    "blank lines": (b"\n \n\t\n  ", ""),
    "one sample": (b"m 1\n", "# TYPE m untyped\nm 1"),
    "labels": (b'm{y="2",x="1"} 1\n', '# TYPE m untyped\nm{x="1",y="2"} 1'),
    "an empty label": (b'm{x=""} 1\n', '# TYPE m untyped\nm{x=""} 1'),
    "empty braces": (b"m{} 1\n", "# TYPE m untyped\nm 1"),
    "blank braces": (b"m{ } 1\n", "# TYPE m untyped\nm 1"),
    "a final comma": (b'm{x="1",} 1\n', '# TYPE m untyped\nm{x="1"} 1'),
    "blanks everywhere": (b'\t m \t{ x = "1" ,\ty\t=\t"2" , } \t 1\n', '# TYPE m untyped\nm{x="1",y="2"} 1'),
    "no blank after braces": (b'm{x="1"}1\n', '# TYPE m untyped\nm{x="1"} 1'),
    "no blank before a sign": (b"m-1\n", "# TYPE m untyped\nm -1"),
    "no blank before a point": (b"m.5\n", "# TYPE m untyped\nm 0.5"),
    "escapes": (rb'm{x="a\\b\"c\nd"} 1' + b"\n", '# TYPE m untyped\nm{x="a\\\\b\\"c\\nd"} 1'),
    "braces and commas in a label": (b'm{x="},{",y="#"} 1\n', '# TYPE m untyped\nm{x="},{",y="#"} 1'),
    "unicode": ('m{x="é 鯨"} 1\n'.encode(), '# TYPE m untyped\nm{x="é 鯨"} 1'),
    "control characters": (b'm{x="\x00\r\x7f"} 1\n', '# TYPE m untyped\nm{x="\x00\r\x7f"} 1'),
    "grouping labels win": (b'm{job="b"} 1\n', "# TYPE m untyped\nm 1"),
    "an instance of its own": (b'm{instance="i"} 1\n', '# TYPE m untyped\nm{instance="i",job="a"} 1'),
    "le on a gauge": (b'# TYPE m gauge\nm{le="x"} 1\n', '# TYPE m gauge\nm{le="x"} 1'),
    "quantile on a gauge": (b'# TYPE m gauge\nm{quantile="x"} 1\n', '# TYPE m gauge\nm{quantile="x"} 1'),
    "a name with colons": (b":m:n 1\n", "# TYPE :m:n untyped\n:m:n 1"),
    "label names that differ": (b'm 1\nm{x="1"} 2\n', '# TYPE m untyped\nm 1\nm{x="1"} 2'),
    "a split family": (
        b"""\
# TYPE m gauge
m 1
n 2
m{x="1"} 3
""",
        """\
# TYPE m gauge
m 1
m{x="1"} 3
# TYPE n untyped
n 2
""",
    ),
    "help and type": (
        b"""\
# HELP m what
# TYPE m counter
m 1
""",
        """\
# HELP m what
# TYPE m counter
m 1
""",
    ),
    "help escapes": (rb'# HELP m a\\b\n"c"' + b" \nm 1\n", '# HELP m a\\\\b\\n"c" \n# TYPE m untyped\nm 1'),
    "help after the sample": (b"m 1\n# HELP m late\n", "# HELP m late\n# TYPE m untyped\nm 1"),
    "type before help": (
        b"""\
# TYPE m gauge
# HELP m what
m 1
""",
        """\
# HELP m what
# TYPE m gauge
m 1
""",
    ),
    "a type in upper case": (b"#TYPE m GauGE\nm 1\n", "# TYPE m gauge\nm 1"),
    "a backslash in a type": (b"# TYPE m g\\auge\nm 1\n", "# TYPE m gauge\nm 1"),
    "comments": (
        b"#\n# \n# any\n#HELP\n# HELP \n# HELP m\n# TYPE m \n# help 1 x\n# EOF\n# \xff\nm 1\n# TYPE\n",
        "# TYPE m untyped\nm 1",
    ),
    "a comment ends a line only by newline": (b"# HELP m a\rb\nm 1\n", "# HELP m a\rb\n# TYPE m untyped\nm 1"),
    "families without samples": (b"# TYPE m gauge\n# HELP n x\n", ""),
    "a histogram": (
        b"""\
# TYPE h histogram
h_bucket{le="1"} 2
h_bucket{le="+Inf"} 3
h_sum 4.5
h_count 3
""",
        """\
# TYPE h histogram
h_bucket{le="1"} 2
h_bucket{le="+Inf"} 3
h_sum 4.5
h_count 3
""",
    ),
    "a histogram without +Inf": (
        b"""\
# TYPE h histogram
h_bucket{le="1"} 2
h_count 3
""",
        """\
# TYPE h histogram
h_bucket{le="1"} 2
h_bucket{le="+Inf"} 3
h_sum 0
h_count 3
""",
    ),
    "bounds are numbers": (
        b"""\
# TYPE h histogram
h_bucket{le="1.0"} 2
h_bucket{le="1000000"} 3
h_bucket{le="-0.0"} 1
h_count 3
""",
        """\
# TYPE h histogram
h_bucket{le="1"} 2
h_bucket{le="1e+06"} 3
h_bucket{le="0"} 1
h_bucket{le="+Inf"} 3
h_sum 0
h_count 3
""",
    ),
    "a bucket twice": (
        b"""\
# TYPE h histogram
h_bucket{le="1"} 2
h_bucket{le="1"} 2
""",
        """\
# TYPE h histogram
h_bucket{le="1"} 2
h_bucket{le="1"} 2
h_bucket{le="+Inf"} 0
h_sum 0
h_count 0
""",
    ),
    "an empty histogram": (
        b"""\
# TYPE h histogram
h 5
""",
        """\
# TYPE h histogram
h_bucket{le="+Inf"} 0
h_sum 0
h_count 0
""",
    ),
    "a loose histogram": (
        b"""\
# TYPE h histogram
h{le="1",x="y"} 1
m 1
h_sum{x="y"} 1
h_sum{x="y"} 2
h_bucket{x="y",le="NaN"} 7
h_bucket{x="y"} 8
h_bucket{le="3",x="y",le="2"} 9
""",
        """\
# TYPE h histogram
h_bucket{x="y",le="1"} 1
h_bucket{x="y",le="2"} 9
h_bucket{x="y",le="+Inf"} 0
h_sum{x="y"} 2
h_count{x="y"} 0
# TYPE m untyped
m 1
""",
    ),
    "a summary": (
        b"""\
# TYPE s summary
s{quantile="0.5"} 2
s{quantile="NaN"} 9
s_sum 4
s_count 2
""",
        """\
# TYPE s summary
s{quantile="0.5"} 2
s_sum 4
s_count 2
""",
    ),
    "parts of a gauge": (
        b"""\
# TYPE m gauge
m 1
m_sum 1
m_bucket 1
""",
        """\
# TYPE m gauge
m 1
# TYPE m_bucket untyped
m_bucket 1
# TYPE m_sum untyped
m_sum 1
""",
    ),
    "a bucket of a summary": (
        b"""\
# TYPE s summary
s_sum 1
s_bucket 2
""",
        """\
# TYPE s summary
s_sum 1
s_count 0
# TYPE s_bucket untyped
s_bucket 2
""",
    ),
    "help for a part": (
        b"""\
# TYPE s summary
# HELP s_sum what
s_sum 1
""",
        """\
# HELP s what
# TYPE s summary
s_sum 1
s_count 0
""",
    ),
    "the gateway's push time": (b"# TYPE push_time_seconds histogram\npush_time_seconds_sum 1\n", ""),
    "nonsense about its push time": (b'push_time_seconds{__x="1"} 1\npush_time_seconds 1\npush_time_seconds 1\n', ""),
    "its failure time in a first push": (b'push_failure_time_seconds{x="1"} 1\n', ""),
    "its own gauge": (b"# TYPE go_goroutines gauge\ngo_goroutines 1\n", "go_goroutines 1"),
    "its own counter": (
        b"""\
# HELP process_cpu_seconds_total other
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 2
""",
        "process_cpu_seconds_total 2\n",
    ),
    "its own counter with its own help": (
        b"""\
# HELP pushgateway_http_requests_total Total HTTP requests processed by the Pushgateway, excluding scrapes.
# TYPE pushgateway_http_requests_total counter
pushgateway_http_requests_total 1
""",
        "pushgateway_http_requests_total 1\n",
    ),
    "a name like its own": (b"promhttp_x 1\n", "# TYPE promhttp_x untyped\npromhttp_x 1"),
}

# Numbers as pushed and as scraped.
NUMBERS = {
    "nan": "NaN",
    "NaN": "NaN",
    "INF": "+Inf",
    "-inf": "-Inf",
    "infinity": "+Inf",
    "+1": "1",
    "-0": "0",
    ".5": "0.5",
    "5.": "5",
    "00012": "12",
    "0.1": "0.1",
    "100000": "100000",
    "1E6": "1e+06",
    "-1234567.5": "-1.2345675e+06",
    "1e-4": "0.0001",
    "1e-5": "1e-05",
    "1e308": "1e+308",
    "5e-324": "5e-324",
    "1e-400": "0",
    "0e99999": "0",
    "123456789012345678901": "1.2345678901234568e+20",
}

# What the generations make of a body: the lines that are on the page of 1.5.1, and on that of 1.11.2 and the embedded
# gateway; None where it is answered 400, as malformed.
DIFFERENT: dict[str, tuple[bytes, str | None, str | None]] = {
    "a quote in help": (rb"# HELP m a \"b\"" + b"\nm 1\n", None, '# HELP m a "b"\n# TYPE m untyped\nm 1'),
    "a gaugehistogram": (
        b"""\
# TYPE h gaugehistogram
h_bucket{le="1"} 2
h_sum 4.5
h_count 3
""",
        None,
        """\
# TYPE h histogram
h_bucket{le="1"} 2
h_bucket{le="+Inf"} 3
h_sum 4.5
h_count 3
""",
    ),
    "counts with fractions": (
        b"""\
# TYPE h histogram
h_bucket{le="1"} 1.5
h_count 2.5
""",
        """\
# TYPE h histogram
h_bucket{le="1"} 1
h_bucket{le="+Inf"} 2
h_sum 0
h_count 2
""",
        """\
# TYPE h histogram
h_bucket{le="1"} 1.5
h_bucket{le="+Inf"} 2.5
h_sum 0
h_count 2.5
""",
    ),
    "a negative count": (
        b"# TYPE h histogram\nh_count -1\n",
        """\
# TYPE h histogram
h_bucket{le="+Inf"} 1.8446744073709552e+19
h_sum 0
h_count 1.8446744073709552e+19
""",
        None,
    ),
}

# Answered 400, and nothing happens: the gateway cannot read these.
MALFORMED: dict[str, bytes] = {
    "no final newline": b"m 1",
    "no final newline after a good line": b"n 1\nm 1",
    "no newline after a comment": b"# comment",
    "carriage returns": b"m 1\r\n",
    "a carriage return after the type": b"# TYPE m gauge\r\nm 1\n",
    "no value": b"m\n",
    "blanks for a value": b"m \n",
    "a digit is part of the name": b"m1\n",
    "a blank after the value": b"m 1 \n",
    "a word after the value": b"m 1 x\n",
    "an exemplar": b"m 1 # {} 1\n",
    "a word after the timestamp": b"m 1 2 x\n",
    "a blank after the timestamp": b"m 1 2 \n",
    "a timestamp with a point": b"m 1 2.0\n",
    "a timestamp beyond 64 bits": b"m 1 9223372036854775808\n",
    "a name that starts with a digit": b"1m 1\n",
    "a name with a dash": b"m-n 1\n",
    "a name with a point": b"m.n 1\n",
    "a quoted name that is none": b'{"m.n"} 1\n',
    "a bad escape in help": b"# HELP m \\x\nm 1\n",
    "a unicode name": "mé 1\n".encode(),
    "unclosed braces": b'm{x="1" 1\n',
    "an unclosed label": b'm{x="1} 1\n',
    "a newline in a label": b'm{x="1\n"} 1\n',
    "an unquoted label": b"m{x=1} 1\n",
    "a label without value": b"m{x} 1\n",
    "a lone comma": b"m{,} 1\n",
    "two commas": b'm{x="1",,y="2"} 1\n',
    "no comma": b'm{x="1" y="2"} 1\n',
    "a label twice": b'm{x="1",x="2"} 1\n',
    "__name__": b'm{__name__="n"} 1\n',
    "a label name with a colon": b'm{x:y="1"} 1\n',
    "a bad escape": b'm{x="\\x"} 1\n',
    "bytes that are not UTF-8": b'm{x="\xff"} 1\n',
    "a surrogate": b'm{x="\xed\xa0\x80"} 1\n',
    "an underscore in a number": b"m 1_000\n",
    "a hexadecimal number": b"m 0x10\n",
    "a hexadecimal float": b"m 0x1p4\n",
    "a number out of range": b"m 1e400\n",
    "a signed NaN": b"m -nan\n",
    "a comma in a number": b"m 1,5\n",
    "digits that are not ASCII": "m \u0661\n".encode(),
    "a type twice": b"# TYPE m gauge\n# TYPE m gauge\nm 1\n",
    "a type after the sample": b"m 1\n# TYPE m gauge\n",
    "a type for a part": b"# TYPE s summary\n# TYPE s_sum gauge\ns_sum 1\n",
    "help twice": b"# HELP m a\n# HELP m a\nm 1\n",
    "help twice, the second for a part": b"# TYPE s summary\n# HELP s a\n# HELP s_sum a\ns_sum 1\n",
    "a backslash at the end of help": b"# HELP m x\\\nm 1\n",
    "a bad name in a comment": b"# TYPE 1m gauge\nm 1\n",
    "an unknown type": b"# TYPE m foo\nm 1\n",
    "the type unknown": b"# TYPE m unknown\nm 1\n",
    "the type info": b"# TYPE m info\nm 1\n",
    "the type stateset": b"# TYPE m stateset\nm 1\n",
    "a blank after the type": b"# TYPE m gauge \nm 1\n",
    "two types": b"# TYPE m gauge counter\nm 1\n",
    "a bad le": b'# TYPE h histogram\nh_bucket{le="x"} 1\n',
    "an empty le": b'# TYPE h histogram\nh_bucket{le=""} 1\n',
    "a bad quantile": b'# TYPE s summary\ns{quantile="x"} 1\n',
    "binary": bytes(range(256)),
}

# Answered 400, and the group's failure time says when: these do not fit together, or not with the gateway.
INCONSISTENT: dict[str, bytes] = {
    "a timestamp": b"m 1 2\n",
    "a negative timestamp": b"m 1 -2\n",
    "a timestamp on a histogram": b"# TYPE h histogram\nh_sum 1 2\n",
    "a sample twice": b"m 1\nm 1\n",
    "a sample twice, labels turned": b'm{x="1",y="2"} 1\nm{y="2",x="1"} 2\n',
    "a sample twice by the grouping key": b'm{job="x"} 1\nm{job="y"} 1\n',
    "a sample twice by an empty instance": b'm 1\nm{instance=""} 1\n',
    "a reserved label": b'm{__x="1"} 1\n',
    "a family like a part of a summary": b"s_sum 1\n# TYPE s summary\ns_count 1\n",
    "a family like a part of a histogram": b"h_bucket 1\n# TYPE h histogram\nh_count 1\n",
    "an own gauge untyped": b"go_goroutines 1\n",
    "an own counter as gauge": b"# TYPE process_cpu_seconds_total gauge\nprocess_cpu_seconds_total 1\n",
    "build info untyped": b"pushgateway_build_info 1\n",
    "a part of an own summary": b"go_gc_duration_seconds_sum 1\n",
    "an own counter with other help": (
        b"# TYPE pushgateway_http_requests_total counter\npushgateway_http_requests_total 1\n"
    ),
}

# Paths that name a group, with its labels besides instance="".
GROUPS: dict[str, dict[str, str]] = {
    "/metrics/job/a": {"job": "a"},
    "/metrics/job/a/": {"job": "a"},
    "/metrics/job/a?x=1": {"job": "a"},
    "/metrics/job/a/x/1": {"job": "a", "x": "1"},
    "/metrics/job/a/x/": {"job": "a", "x": ""},
    "/metrics/job/a/_x/1": {"job": "a", "_x": "1"},
    "/metrics/job/a/x/1/x/2": {"job": "a", "x": "2"},
    "/metrics/job/a/job/b": {"job": "a"},
    "/metrics/job/a/job@base64/Yg": {"job": "a"},
    "/metrics/job/a/instance/i": {"job": "a", "instance": "i"},
    "/metrics/job/a/instance/": {"job": "a"},
    "/metrics/job/a/le/1": {"job": "a", "le": "1"},
    "/metrics/job/%20": {"job": " "},
    "/metrics/job/a+b": {"job": "a+b"},
    "/metrics/job/a%3F%23%25": {"job": "a?#%"},
    "/metrics/job/%C3%A9": {"job": "é"},
    "/metrics/job/a%2Fb%2Fc": {"job": "a", "b": "c"},
    "/metrics/job/...": {"job": "..."},
    "/metrics/job@base64/YQ": {"job": "a"},
    "/metrics/job@base64/YQ==": {"job": "a"},
    "/metrics/job@base64/YR": {"job": "a"},
    "/metrics/job@base64/Y%0AQ": {"job": "a"},
    "/metrics/job@base64/YS9i/x@base64/Li4": {"job": "a/b", "x": ".."},
    "/metrics/job/a/x@base64/=": {"job": "a", "x": ""},
    "/metrics/job/a/x@base64/4piD": {"job": "a", "x": "☃"},
    "http://anywhere/metrics/job/a": {"job": "a"},
}

# Other answers: method, path, status.
ANSWERS: list[tuple[str, str, int]] = [
    *[
        (method, path, status)
        for path, status in {
            "/metrics/job@base64/=": 400,
            "/metrics/job/a/x": 400,
            "/metrics/job/a/x/1/": 400,
            "/metrics/job/a%2Fb": 400,
            "/metrics/job/a/__x/1": 400,
            "/metrics/job/a/1x/1": 400,
            "/metrics/job/a/x-y/1": 400,
            "/metrics/job/a/%C3%A9/1": 400,
            "/metrics/job/a/@base64/YQ": 400,
            "/metrics/job/a/x@base64/Y": 400,
            "/metrics/job/a/x@base64/Y+": 400,
            "/metrics/job/%zz": 400,
            "/metrics/job/%": 400,
            "/metrics/job/a//": 301,
            "//metrics/job/a": 301,
            "/metrics/job/a/x//y/1": 301,
            "/metrics/job/./x/1": 301,
            "/metrics/job/../x/1": 301,
            "/metrics/job/a/x/.": 301,
            "/metrics/job/a/x/%2E%2e": 301,
            "/metrics/job/a/x/..%2F": 301,
            "/metrics/job": 404,
            "/metrics/job@base64": 404,
            "/metrics/job@base64/": 404,
            "/metrics/job@foo/a": 404,
            "/metrics/jobs/a": 404,
            "/metrics/x": 404,
            "/metrics/": 404,
            "/nope": 404,
            "/metrics": 405,
            "/": 405,
            "/-/ready": 405,
            "/-/healthy": 405,
        }.items()
        for method in ("PUT", "POST", "DELETE")
    ],
    ("DELETE", "/metrics/job/%ff", 202),
    ("GET", "/metrics", 200),
    ("GET", "/metrics?x=1", 200),
    ("GET", "/-/ready", 200),
    ("GET", "/-/healthy", 200),
    ("GET", "/metrics/job/a", 405),
    ("GET", "/metrics/job/a/x", 405),
    ("GET", "/metrics/job/a//", 301),
    ("GET", "/metrics/job", 404),
    ("GET", "/metrics/job/", 404),
    ("GET", "/nope", 404),
    ("HEAD", "/metrics", 405),
    ("HEAD", "/-/ready", 405),
    ("HEAD", "/metrics/job/a", 405),
    ("HEAD", "/nope", 404),
    ("OPTIONS", "/metrics", 200),
    ("OPTIONS", "/metrics/job/a", 200),
    ("OPTIONS", "/nope", 404),
    ("PATCH", "/metrics", 405),
    ("PATCH", "/metrics/job/a", 405),
]

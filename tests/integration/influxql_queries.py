"""Points and queries of the differential test: what is generated, and from what."""

import math
import random

from hypothesis import strategies as st

START = 1_704_067_200
ZONE_START = 1_711_720_800
DATABASES = 12
AGGREGATES = ["count", "mean", "sum", "min", "max", "spread", "stddev", "median", "first", "last"]
TRANSFORMATIONS = [
    "derivative({},10s)",
    "derivative({})",
    "non_negative_derivative({},1s)",
    "difference({})",
    "non_negative_difference({})",
    "cumulative_sum({})",
    "moving_average({},2)",
    "elapsed({},1s)",
]
ZONES = ["Europe/Berlin", "America/Chicago", "Asia/Kolkata", "Australia/Lord_Howe"]


def points(number: int) -> str:
    """One database's lines: two measurements, gaps, missing tags and fields, no two series at the same time.

    Which of several rows of one time comes first is InfluxDB's own affair. What a selector takes of two is not, so
    there is a third measurement whose two series have the same times; no two of its values are equal. (Of three it
    takes the greatest of some two, which hold no rule.)
    """
    lines = []
    for index in range(60):
        if (index * 7 + number) % 5 == 0:
            continue
        host, region = "abc"[(index + number) % 3], ["eu", "us", ""][(index * (number + 1)) % 3]
        tags = f",host={host}" + (f",region={region}" if region else "")
        value = round(math.sin(index + number) * 10, 3)
        fields = [f"v={value}", f"n={(index * 13 + number) % 17 - 5}i"]
        if index % 4:
            fields.append(f"w={index / 8}")
        if index % 3 == 0:
            fields.append(f'ok={"true" if index % 2 else "false"},s="{host}{index % 5}"')
        lines.append(f"{'m' if index % 6 else 'k'}{tags} {','.join(fields)} {(START + index * 7) * 10**9}")
    for index in range(40):
        for place, host in enumerate("ab"):
            value = (index * 29 + place * 53 + number) % 127 * 4 + place
            tags = f"host={host},region={'eu' if host == 'a' else 'us'}"
            values = f'v={value}.5,n={value}i,s="s{value}",ok={"true" if value % 3 else "false"}'
            lines.append(f"t,{tags} {values} {(START + index * 7) * 10**9}")
    lines += [f"z v={hour} {(ZONE_START + hour * 3600) * 10**9}" for hour in range(0, 72, 1 + number % 3)]
    return "\n".join(random.Random(number).sample(lines, len(lines)))


numeric_field = st.sampled_from(["v", "n", "w"])
any_field = st.sampled_from(["v", "n", "w", "s", "ok", "host", "missing"])
tag_condition = st.sampled_from(
    [
        "host = 'a'",
        "host != 'b'",
        "region = ''",
        "region =~ /e|u/",
        "host !~ /^c/",
        "(host = 'a' OR region = 'us')",
        "n > 0",
        "v <= 3.5",
        "ok = true",
        "s = 'a1'",
        "s =~ /[ab]/",
        "v + n > 4",
        "n * 2 <= v",
        "v / n < 1",
        "w > n",
        "host::tag = 'a'",
        "n::float > 1.5",
        "(n < 5 OR host = 'c')",
        "nowhere = ''",
    ]
)
grouping = st.sampled_from(["", "host", "host, region", "*", "/reg/", "nowhere"])


@st.composite
def time_range(draw: st.DrawFn) -> str:
    first = draw(st.integers(-30, 300))
    last = first + draw(st.integers(10, 300))
    lower = draw(st.sampled_from([">=", ">"]))
    upper = draw(st.sampled_from(["<", "<="]))
    return f"time {lower} {START + first}s AND time {upper} {START + last}s"


@st.composite
def where(draw: st.DrawFn, *, bounded: bool) -> str:
    terms = [draw(time_range())] if bounded or draw(st.booleans()) else []
    terms += draw(st.lists(tag_condition, max_size=2, unique=True))
    return f" WHERE {' AND '.join(terms)}" if terms else ""


@st.composite
def tail(draw: st.DrawFn, *, descending: bool = True) -> str:
    parts = []
    if descending and draw(st.booleans()):
        parts.append(f"ORDER BY time {draw(st.sampled_from(['ASC', 'DESC']))}")
    if draw(st.booleans()):
        parts.append(f"LIMIT {draw(st.integers(1, 7))}")
        if draw(st.booleans()):
            parts.append(f"OFFSET {draw(st.integers(1, 4))}")
    if draw(st.integers(0, 3)) == 0:
        parts.append(f"SLIMIT {draw(st.integers(1, 2))}")
    return "".join(f" {part}" for part in parts)


@st.composite
def raw_query(draw: st.DrawFn) -> str:
    if draw(st.integers(0, 3)) == 0:
        field, other = draw(numeric_field), draw(numeric_field)
        columns = draw(
            st.sampled_from(
                [
                    f"{field} + {other}",
                    f"{field} * 2 - 1",
                    f"{field} / {other}",
                    f"{field} / 0",
                    f"-{field}",
                    f"({field} + 1) * {other} AS x",
                    f"{field}, {field} - {other}",
                    f"{field}::integer, {other}::float, {field}::field, host::tag, s::float",
                    "*::field",
                    "*::tag, v",
                ]
            )
        )
    else:
        columns = draw(st.one_of(st.just("*"), st.lists(any_field, min_size=1, max_size=3).map(", ".join)))
    by = draw(grouping)
    source = draw(st.sampled_from(["m", "k", "/^[mk]$/", "absent"]))
    return (
        f"SELECT {columns} FROM {source}{draw(where(bounded=False))}" + (f" GROUP BY {by}" if by else "") + draw(tail())
    )


@st.composite
def aggregate_query(draw: st.DrawFn) -> str:
    def call() -> str:
        name = draw(st.sampled_from(AGGREGATES))
        text = f"{name}({draw(numeric_field)})"
        if draw(st.integers(0, 9)) == 0:
            return f"percentile({draw(numeric_field)}, {draw(st.sampled_from([0, 10, 50, 95, 100]))})"
        if draw(st.integers(0, 9)) == 0:
            return f"count(distinct({draw(numeric_field)}))"
        if draw(st.integers(0, 9)) == 0:
            return f"mode({draw(st.sampled_from(['v', 'n', 'w', 's', 'ok']))})"
        return text

    columns = [call() for _ in range(draw(st.integers(1, 3)))]
    if draw(st.integers(0, 3)) == 0:
        columns = [
            f"{call()} {draw(st.sampled_from(['+', '-', '*', '/']))} {draw(st.sampled_from(['2', '0', call()]))}"
        ]
    windowed = draw(st.booleans())
    by = [f"time({draw(st.sampled_from(['10s', '30s', '1m', '45s,7s', '20s,-3s']))})"] if windowed else []
    tags = draw(grouping)
    by += [tags] if tags else []
    fill = draw(st.sampled_from(["", " fill(none)", " fill(null)", " fill(0)", " fill(-1)"])) if windowed else ""
    return (
        f"SELECT {', '.join(columns)} FROM {draw(st.sampled_from(['m', 'k']))}{draw(where(bounded=windowed))}"
        + (f" GROUP BY {', '.join(by)}" if by else "")
        + fill
        + draw(tail(descending=windowed))
    )


@st.composite
def fill_query(draw: st.DrawFn) -> str:
    call = f"{draw(st.sampled_from(['mean', 'sum', 'max', 'last', 'count']))}({draw(numeric_field)})"
    every = draw(st.sampled_from(["5s", "10s", "30s"]))
    return (
        f"SELECT {call} FROM m WHERE {draw(time_range())} GROUP BY time({every}), "
        f"{draw(st.sampled_from(['host', 'region']))} fill({draw(st.sampled_from(['previous', 'linear']))})"
    )


@st.composite
def transformation_query(draw: st.DrawFn) -> str:
    shape = draw(st.sampled_from(TRANSFORMATIONS))
    if draw(st.booleans()):
        return f"SELECT {shape.format(draw(numeric_field))} FROM m{draw(where(bounded=True))} GROUP BY host"
    call = f"{draw(st.sampled_from(['mean', 'max', 'sum', 'last']))}({draw(numeric_field)})"
    every = draw(st.sampled_from(["10s", "30s", "1m"]))
    return (
        f"SELECT {shape.format(call)} FROM m WHERE {draw(time_range())} GROUP BY time({every}), host"
        f"{draw(st.sampled_from(['', ' fill(none)', ' fill(0)']))}"
    )


@st.composite
def subquery(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        # What the outer SELECT groups by, the inner one is grouped by, too.
        outer = draw(st.sampled_from(["mean(x)", "max(x)", "sum(x)", "count(x)"]))
        by = draw(st.sampled_from(["", " GROUP BY region"]))
        inner = f"SELECT {draw(numeric_field)} AS x FROM m WHERE {draw(time_range())}{by}"
        return f"SELECT {outer} FROM ({inner}){draw(st.sampled_from(['', ' GROUP BY host', ' GROUP BY host, region']))}"
    inner = f"{draw(st.sampled_from(['mean', 'max', 'sum']))}({draw(numeric_field)}) AS x"
    outer = draw(st.sampled_from(["mean(x)", "max(x)", "sum(x)", "count(x)", "x * 2"]))
    by = draw(st.sampled_from(["time(30s), host", "host", "time(30s)", "region, host"]))
    return f"SELECT {outer} FROM (SELECT {inner} FROM m WHERE {draw(time_range())} GROUP BY {by} fill(none))" + draw(
        st.sampled_from(["", " GROUP BY host", " GROUP BY region"])
    )


@st.composite
def multirow_query(draw: st.DrawFn) -> str:
    columns = draw(
        st.sampled_from(
            [
                "distinct(n)",
                "distinct(s)",
                "distinct ok",
                "top(v, 2)",
                "bottom(v, 3)",
                "top(v, host, 2)",
                "bottom(v, host, region, 2), n",
                "top(v, 1) AS best, host",
            ]
        )
    )
    windowed = draw(st.booleans())
    by = [f"time({draw(st.sampled_from(['30s', '1m']))})"] if windowed else []
    by += draw(st.sampled_from([[], ["host"], ["region"]]))
    return f"SELECT {columns} FROM m{draw(where(bounded=windowed))}" + (f" GROUP BY {', '.join(by)}" if by else "")


@st.composite
def tied_query(draw: st.DrawFn) -> str:
    call = f"{draw(st.sampled_from(['first', 'last', 'min', 'max']))}({draw(st.sampled_from(['v', 'n']))})"
    call = draw(st.sampled_from([call, call, "first(s)", "last(s)", "first(ok)", "last(ok)"]))
    windowed = draw(st.booleans())
    by = [f"time({draw(st.sampled_from(['10s', '30s', '45s,7s']))})"] if windowed else []
    by += draw(st.sampled_from([[], ["host"], ["region"]]))
    columns = call if windowed or "ok" in call else call + draw(st.sampled_from(["", ", host", ", n"]))
    group = f" GROUP BY {', '.join(by)}" if by else ""
    return f"SELECT {columns} FROM t WHERE {draw(time_range())}{group}{' fill(none)' if windowed else ''}"


@st.composite
def integral_query(draw: st.DrawFn) -> str:
    call = draw(st.sampled_from(["integral(v)", "integral(n, 10s)", "integral(w, 1m)"]))
    windowed = draw(st.booleans())
    by = f" GROUP BY time({draw(st.sampled_from(['30s', '1m', '45s,7s']))})" if windowed else ""
    return f"SELECT {call} FROM m{draw(where(bounded=windowed))}{by}"


@st.composite
def zone_query(draw: st.DrawFn) -> str:
    every = draw(st.sampled_from(["1h", "6h", "12h", "1d"]))
    first = draw(st.integers(0, 20))
    hours = draw(st.integers(1, 60))
    start, stop = ZONE_START + first * 3600, ZONE_START + (first + hours) * 3600
    return (
        f"SELECT {draw(st.sampled_from(['count(v)', 'sum(v)', 'last(v)']))} FROM z WHERE time >= {start}s AND "
        f"time < {stop}s GROUP BY time({every}){draw(st.sampled_from(['', ' fill(none)', ' fill(0)']))} "
        f"tz('{draw(st.sampled_from(ZONES))}')"
    )


SHOW = st.sampled_from(
    [
        "SHOW MEASUREMENTS",
        "SHOW MEASUREMENTS WITH MEASUREMENT =~ /k/",
        "SHOW TAG KEYS",
        "SHOW TAG KEYS FROM k",
        "SHOW TAG VALUES WITH KEY = host",
        "SHOW TAG VALUES FROM m WITH KEY IN (host, region) WHERE host = 'a'",
        "SHOW TAG VALUES FROM m WITH KEY =~ /o/ LIMIT 2",
        "SHOW FIELD KEYS",
        "SHOW FIELD KEYS FROM m",
        "SHOW SERIES FROM m WHERE region = 'eu'",
        "SHOW SERIES LIMIT 3",
        "SHOW SERIES CARDINALITY",
        "SHOW SERIES EXACT CARDINALITY FROM m",
        "SHOW MEASUREMENT EXACT CARDINALITY",
        "SHOW TAG KEY CARDINALITY",
        "SHOW TAG VALUES EXACT CARDINALITY FROM m WITH KEY = host",
        "SHOW FIELD KEY CARDINALITY",
        "SHOW RETENTION POLICIES",
        "SHOW USERS",
    ]
)

"""Points with gaps in fields and tags, and queries that join what such points have and lack.

What a window shows where only one of several columns has a value; wildcards over measurements; what stands beside a
selected point; windows from the newest on.
"""

import random

from hypothesis import strategies as st

from tests.integration.influxql_queries import START, TRANSFORMATIONS, time_range


def sparse_points(number: int) -> str:
    """Lines of two measurements, in which any tag and any field may be missing, and no two have the same time."""
    chosen = random.Random(1000 + number)
    lines = []
    for index in range(80):
        name = chosen.choice(["p", "p", "q"])
        tags = [
            f"{key}={chosen.choice(values)}"
            for key, share, values in (("dc", 0.8, "xyz"), ("host", 0.6, "ab"))
            if chosen.random() < share
        ]
        values = {
            "v": f"{chosen.randint(-40, 40) / 4}",
            "n": f"{chosen.randint(-5, 20)}i",
            "u": f"{chosen.randint(1, 1000)}.5",
            "s": f'"{chosen.choice(["", "a", "b", "c d", "10"])}"',
            "ok": chosen.choice(["true", "false"]),
            "x" if name == "p" else "y": f"{chosen.randint(0, 9)}i",
        }
        shares = {"v": 0.85, "n": 0.7}
        fields = [f"{key}={value}" for key, value in values.items() if chosen.random() < shares.get(key, 0.45)]
        key = ",".join([name, *tags])
        lines.append(f"{key} {','.join(fields or ['v=1'])} {(START + index * 4) * 10**9 + number}")
    return "\n".join(lines)


source = st.sampled_from(["p", "p", "q"])
sources = st.sampled_from(["p, q", "/^[pq]$/", "p"])
condition = st.sampled_from(
    [
        "",
        "",
        "",
        " AND n & 1 = 1",
        " AND n | 4 = 5",
        " AND n ^ 1 > 3",
        " AND n % 3 = 1",
        " AND v / 0 = 0",
        " AND (v > 2 OR dc = 'z')",
        " AND host != ''",
    ]
)
every = st.sampled_from(["10s", "30s", "45s,7s", "20s,-3s", "7s", "15s,1h"])
tags = st.sampled_from(["", "", ", dc", ", host", ", dc, host", ", *"])
fill = st.sampled_from(["", " fill(none)", " fill(0)", " fill(3)", " fill(previous)", " fill(linear)"])
field = st.sampled_from(["v", "n", "u"])
direction = st.sampled_from(["", "", " ORDER BY time DESC"])
call = st.one_of(
    st.builds(
        "{}({})".format, st.sampled_from(["mean", "sum", "count", "max", "last", "median", "spread", "first"]), field
    ),
    st.builds("percentile({}, {})".format, field, st.sampled_from([50, 95])),
)


@st.composite
def windows(draw: st.DrawFn) -> str:
    return f" WHERE {draw(time_range())}{draw(condition)} GROUP BY time({draw(every)}){draw(tags)}{draw(fill)}"


@st.composite
def joined_query(draw: st.DrawFn) -> str:
    """Transformations beside each other and beside aggregates: each has values in some windows only."""
    shapes = st.sampled_from([*TRANSFORMATIONS, "{}"])
    one, other = draw(st.sampled_from(TRANSFORMATIONS)).format(draw(call)), draw(shapes).format(draw(call))
    columns = draw(st.sampled_from([f"{one}, {other}", f"{one} + {other}", f"{other} - {one} / 2", f"{other}, {one}"]))
    return f"SELECT {columns} FROM {draw(source)}{draw(windows())}{draw(direction)}"


@st.composite
def beside_query(draw: st.DrawFn) -> str:
    """A selected point with what stands beside it."""
    selected = draw(
        st.one_of(
            st.builds("{}({})".format, st.sampled_from(["first", "last", "min", "max"]), field),
            # Of equal values InfluxDB's choice is any; this field has few.
            st.builds("percentile(u, {})".format, st.sampled_from([50, 90])),
        )
    )
    beside = draw(st.sampled_from(["host", "dc, s", "ok, s, x", "*", "/^[dhs]/", "missing", "s AS t, dc"]))
    if draw(st.booleans()):
        return f"SELECT {selected}, {beside} FROM {draw(source)}{draw(windows())}{draw(direction)}"
    by = draw(st.sampled_from(["", " GROUP BY dc", " GROUP BY host, dc"]))
    return f"SELECT {selected}, {beside} FROM {draw(source)} WHERE {draw(time_range())}{draw(condition)}{by}"


@st.composite
def spread_query(draw: st.DrawFn) -> str:
    """Functions of wildcards and regular expressions, over measurements that lack each other's fields."""
    function = draw(
        st.sampled_from(["count({})", "mean({})", "last({})", "max({})", "min({})", "sum({})", "percentile({}, 50)"])
    )
    text = function.format(draw(st.sampled_from(["*", "/./", "/v|n|x/", "/y|ok/"])))
    if draw(st.booleans()):
        # fill(number) of a field that another measurement has depends on what InfluxDB knows of it.
        without = draw(st.sampled_from(["", " fill(none)", " fill(previous)"]))
        by = f"time({draw(every)}){draw(st.sampled_from(['', ', dc', ', host, dc']))}{without}"
        if draw(st.booleans()):
            text = draw(st.sampled_from(["difference({})", "cumulative_sum({})", "derivative({},1s)"])).format(
                draw(st.sampled_from(["mean(*)", "sum(/v|n/)", "max(/v|n|u/)"]))
            )
        return f"SELECT {text} FROM {draw(sources)} WHERE {draw(time_range())} GROUP BY {by}{draw(direction)}"
    if draw(st.integers(0, 2)) == 0:
        text = draw(
            st.sampled_from(["difference(*)", "derivative(*)", "cumulative_sum(/v|n/)", "moving_average(*, 2)"])
        )
    by = draw(st.sampled_from(["", " GROUP BY dc", " GROUP BY host, dc"]))
    return f"SELECT {text} FROM {draw(sources)} WHERE {draw(time_range())}{by}"


@st.composite
def newest_first_query(draw: st.DrawFn) -> str:
    """Several rows for a window, from the newest window on."""
    columns = draw(
        st.sampled_from(
            [
                "top(v, 2)",
                "bottom(u, 3)",
                "top(v, dc, 2)",
                "bottom(n, host, dc, 2), s",
                "top(u, 2), n, dc",
                "distinct(v)",
                "distinct(s)",
                "distinct(ok)",
            ]
        )
    )
    by = f"time({draw(every)})" if draw(st.booleans()) else ""
    by = ", ".join(filter(None, [by, draw(st.sampled_from(["", "dc", "host"]))]))
    where = f" WHERE {draw(time_range())}{draw(condition)}"
    return f"SELECT {columns} FROM {draw(source)}{where}{f' GROUP BY {by}' if by else ''}{draw(direction)}"


@st.composite
def bits_query(draw: st.DrawFn) -> str:
    """Columns with the bits of integers, and names that collide."""
    columns = draw(
        st.sampled_from(
            ["n & 3, n | 8, n ^ 5", "n & x", "v, n AS v, v", "n AS a, v, a", "n & 1 + 2 * n", "mean(v), max(n) AS mean"]
        )
    )
    if "mean(" in columns:
        columns += draw(st.sampled_from(["", ", count(n) & 3, mean(n)"]))
    return f"SELECT {columns} FROM p WHERE {draw(time_range())}{draw(condition)}{draw(direction)}"

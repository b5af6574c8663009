"""Points with odd names, values and times, and queries of them, of more series, and of answers of other queries.

What dashboards and people write beyond the plain cases of influxql_queries.py.
"""

import math
import random

from hypothesis import strategies as st

from tests.integration.influxql_queries import START, ZONE_START, ZONES, numeric_field, time_range

STEP = 1_000_000_000


def wider_points(number: int) -> str:
    """Lines of four measurements, no two points of which have the same time.

    `odd, ü` has names that need quoting and values at the ends of their types, some a nanosecond apart; `many` has
    twelve series; `c1` and `c2` share a field that is an integer in one of them and a float in the other.
    """
    lines = []
    strings = [r"it's", r"say \"hi\"", r"back\\slash", "grüße, 世界", "a=b c", "", "10", "/re/"]
    for index in range(48):
        time = START * STEP + index * 5 * STEP + index % 3
        value = [0.1, -0.0, 1e300, 5e-324, -1e-9, 123456789.125, 2.0, 1 / 3][(index + number) % 8]
        integer = [2**63 - 1, -(2**63), 0, 7, 2**53 + 1, -1][(index * 5 + number) % 6]
        fields = [rf"fi\ eld={value!r}", rf"i\,j\=k={integer}i"]
        if index % 3:
            fields.append(f's="{strings[(index + number) % len(strings)]}"')
        tag = [r"eu\ west", "ü", r"a\,b\=c", "it's", '"q"', "10"][(index * 7) % 6]
        lines.append(rf"odd\,\ ü,ta\ g={tag},time_zone=z{index % 2} {','.join(fields)} {time}")
    for index in range(90):
        host, rack = f"h{index * 7 % 12:02}", f"r{index * 7 % 12 % 3}"
        time = (START + index * 3) * STEP + 500_000_000
        lines.append(f"many,host={host},rack={rack} v={round(math.cos(index + number) * 9, 2)},n={index % 9}i {time}")
    for index in range(30):
        time = (START + index * 10) * STEP + 1
        name = "c1" if index % 2 else "c2"
        lines.append(
            f"{name},host={'ab'[index % 3 == 0]} v={index}{'i' if name == 'c1' else '.25'},x={index * 2} {time}"
        )
    lines += [f"zz v={hour} {(ZONE_START + hour * 3600) * STEP + 1}" for hour in range(number % 2, 72, 2)]
    return "\n".join(random.Random(number).sample(lines, len(lines)))


odd_condition = st.sampled_from(
    [
        "\"ta g\" = 'eu west'",
        "\"ta g\" = 'it\\'s'",
        "\"ta g\" = 'a,b=c'",
        '"ta g" != \'"q"\'',
        '"ta g" =~ /^[aü]/',
        '"ta g" =~ /west|"/',
        "\"ta g\" = '10'",
        "s = 'it\\'s'",
        "s = 'say \"hi\"'",
        "s = 'back\\\\slash'",
        "s =~ /世/",
        "s = ''",
        "s != ''",
        "s =~ /^$/",
        "s !~ /\\d/",
        '"fi eld" >= 0.1',
        '"fi eld" > 1000.5',
        '"fi eld" < 0',
        '"i,j=k" = 9223372036854775807',
        '"i,j=k" > 9007199254740992',
        '"i,j=k" <= -1',
        '"i,j=k" != 0',
        "time_zone = 'z0'",
        "(\"ta g\"::tag = 'ü' OR time_zone::tag = 'z1')",
    ]
)


@st.composite
def instant(draw: st.DrawFn) -> str:
    """A time near a point, in one of the ways to write it."""
    index = draw(st.integers(0, 47))
    second, nano = START + index * 5, max(0, index % 3 + draw(st.integers(-1, 1)))
    minutes, seconds = divmod(second - START, 60)
    return draw(
        st.sampled_from(
            [
                f"{second * STEP + nano}",
                f"{second}s + {nano}ns",
                f"'2024-01-01T00:{minutes:02}:{seconds:02}.{nano:09}Z'",
                f"'2024-01-01 00:{minutes:02}:{seconds:02}.{nano:09}'",
                f"'2024-01-01T00:{minutes + 1:02}:{seconds:02}Z' - 1m + {nano}ns",
                f"{second}000ms",
                f"{second}000000u + {nano}ns",
            ]
        )
    )


@st.composite
def odd_where(draw: st.DrawFn) -> str:
    terms = [draw(odd_condition)] if draw(st.booleans()) else []
    if draw(st.booleans()):
        terms.append(f"time {draw(st.sampled_from(['>=', '>']))} {draw(instant())}")
    if draw(st.booleans()):
        terms.append(f"time {draw(st.sampled_from(['<', '<=', '=']))} {draw(instant())}")
    return f" WHERE {' AND '.join(terms)}" if terms else ""


@st.composite
def odd_query(draw: st.DrawFn) -> str:
    where = draw(odd_where())
    by = draw(
        st.sampled_from(
            ["", "", ' GROUP BY "ta g"', ' GROUP BY "ta g"::tag, time_zone', " GROUP BY *", " GROUP BY /^t/"]
        )
    )
    if draw(st.booleans()):
        columns = draw(
            st.sampled_from(
                [
                    "*",
                    '"fi eld", s',
                    '"i,j=k" AS "a b", "ta g"',
                    '"ta g"::tag, "fi eld"::field, s::string',
                    '"fi eld"::integer, "i,j=k"::float',
                    '"i,j=k" % 4, "i,j=k" / 2',
                    "s",
                    "/fi|^s/",
                ]
            )
        )
        tail = draw(st.sampled_from(["", " ORDER BY time DESC", " LIMIT 5", " ORDER BY time DESC LIMIT 3 OFFSET 1"]))
        return f'SELECT {columns} FROM "odd, ü"{where}{by}{tail}'
    columns = draw(
        st.sampled_from(
            [
                'max("i,j=k"), min("fi eld")',
                'count("fi eld"), count(s), count("i,j=k")',
                "first(s), last(s)" if by else "first(s)",
                'last("i,j=k")',
                'spread("fi eld") AS "ünit"',
                'percentile("i,j=k", 50)',
                "count(*)",
                "last(*)",
                "count(/i|s/)",
                'mean("fi eld")',
                "distinct(s)",
            ]
        )
    )
    return f'SELECT {columns} FROM "odd, ü"{where}{by}'


@st.composite
def many_query(draw: st.DrawFn) -> str:
    """SLIMIT and SOFFSET, LIMIT and OFFSET over windows, both ways."""
    aggregate = draw(st.booleans())
    columns = (
        draw(
            st.sampled_from(
                ["mean(v)", "max(n), count(v)", "last(v)", "sum(n) / count(n)", "round(mean(v))", "abs(min(v))"]
            )
        )
        if aggregate
        else draw(
            st.sampled_from(
                ["v", "v, n", "abs(v)", "pow(v, 2), floor(v), ceil(v)", "n / 2", "n % 3 + v", "sqrt(abs(v))"]
            )
        )
    )
    windowed = aggregate and draw(st.booleans())
    by = [f"time({draw(st.sampled_from(['20s', '1m', '50s,15s', '45s,-10s']))})"] if windowed else []
    by += [draw(st.sampled_from(["host", "rack", "rack, host", "/./"]))]
    where = (
        draw(st.sampled_from(["", "rack != 'r1'", "host =~ /h0[1-4]/", "v > 0"]))
        if not windowed
        else draw(st.sampled_from(["host > ''", "rack = 'r0'", "v > 0"])).replace("host > ''", "host != ''")
    )
    terms = [draw(time_range())] if windowed or draw(st.booleans()) else []
    terms += [where] if where else []
    fill = (
        draw(st.sampled_from(["", " fill(none)", " fill(7)", " fill(previous)", " fill(linear)"])) if windowed else ""
    )
    tail = ""
    if windowed or not aggregate:
        tail += draw(st.sampled_from(["", " ORDER BY time DESC", " ORDER BY DESC"]))
        tail += draw(st.sampled_from(["", " LIMIT 2", " LIMIT 1 OFFSET 1"]))
    tail += draw(st.sampled_from(["", " SLIMIT 3", " SLIMIT 2 SOFFSET 1", " SLIMIT 4 SOFFSET 20"]))
    return (
        f"SELECT {columns} FROM many"
        + (f" WHERE {' AND '.join(terms)}" if terms else "")
        + f" GROUP BY {', '.join(by)}{fill}{tail}"
    )


@st.composite
def nested_query(draw: st.DrawFn) -> str:
    """Aggregates of windows of windows, conditions and times outside, calculations between."""
    within = draw(time_range())
    inner = draw(
        st.sampled_from(
            [
                f"SELECT mean(v) AS x, max(n) AS y FROM many WHERE {within} GROUP BY time(20s), host fill(none)",
                f"SELECT sum(n) AS x, sum(v) AS y FROM many WHERE {within} GROUP BY time(10s), rack fill(none)",
                f"SELECT last(v) AS x FROM many WHERE {within} GROUP BY rack, host",
                f"SELECT spread(v) AS x, count(v) AS y FROM many WHERE {within} GROUP BY time(30s), rack fill(none)",
                f"SELECT v AS x, n AS y FROM many WHERE {within}",
            ]
        )
    )
    if draw(st.booleans()):
        # Not over a raw SELECT: the order of its rows is InfluxDB's own affair.
        middle = draw(
            st.sampled_from(["mean(x) AS x, max(y) AS y", "sum(x) AS x, count(y) AS y", "max(x) AS x, min(y) AS y"])
        )
        by = draw(st.sampled_from(["time(1m) fill(none)", "time(1m), rack fill(none)", "rack"]))
        inner = f"SELECT {middle} FROM ({inner}){f' WHERE {within}' if 'time(' in by else ''} GROUP BY {by}"
    outer = draw(
        st.sampled_from(
            [
                "mean(x)",
                "max(x), min(y)",
                "count(x)",
                "sum(x) / sum(y)",
                "percentile(x, 90)",
                "median(y)",
                "spread(x)",
                "stddev(x)",
            ]
        )
    )
    condition = draw(st.sampled_from(["", "x > 0", "y >= 2", "rack = 'r1'", "x > 0 AND rack != 'r2'"]))
    by = draw(
        st.sampled_from(["", " GROUP BY rack", " GROUP BY time(1m) fill(none)", " GROUP BY time(30s), rack fill(none)"])
    )
    # Without windows InfluxDB gives up at a row that is before the range, as the window is that it begins in.
    terms = [*([within] if "time(" in by else []), *([condition] if condition else [])]
    where = f" WHERE {' AND '.join(terms)}" if terms else ""
    return f"SELECT {outer} FROM ({inner}){where}{by}"


@st.composite
def mixed_query(draw: st.DrawFn) -> str:
    """Several measurements by name and by regular expression, which share a field of two types."""
    source = draw(st.sampled_from(["c1, c2", "/^c[12]$/", "/^c/", "c2, c1", "c1", "c2", "/c1|many/"]))
    columns = draw(
        st.sampled_from(
            [
                "mean(v)",
                "sum(v)",
                "max(v)",
                "count(x)",
                "last(x)",
                "v",
                "v, x",
                "*",
                "v + x",
                "v / 2",
                "sum(v) / 2",
                "v::float",
                "v::integer",
                "spread(v)",
            ]
        )
    )
    where = draw(
        st.sampled_from(["", " WHERE v > 3", " WHERE v > 3.5 AND host = 'a'", " WHERE v = 4", " WHERE x >= 10"])
    )
    by = draw(st.sampled_from(["", " GROUP BY host", " GROUP BY *"]))
    if "(" in columns and draw(st.booleans()):
        where = f"{where} AND {draw(time_range())}" if where else f" WHERE {draw(time_range())}"
        fill = draw(st.sampled_from(["", " fill(none)", " fill(previous)"]))
        every = draw(st.sampled_from(["1m", "45s,7s"]))
        by = f" GROUP BY time({every}){by.replace(' GROUP BY', ',')}{fill}"
    return f"SELECT {columns} FROM {source}{where}{by}"


@st.composite
def moved_query(draw: st.DrawFn) -> str:
    """Local windows over a change of the clock with every fill, offsets, both orders, and a transformation."""
    every = draw(st.sampled_from(["2h", "4h", "6h", "12h", "1d", "2d", "1w"]))
    first, hours = draw(st.integers(0, 20)), draw(st.integers(1, 60))
    start, stop = ZONE_START + first * 3600, ZONE_START + (first + hours) * 3600
    call = draw(
        st.sampled_from(
            ["count(v)", "sum(v)", "last(v)", "mean(v)", "max(v)", "difference(sum(v))", "cumulative_sum(count(v))"]
        )
    )
    fill = draw(st.sampled_from(["", " fill(none)", " fill(0)", " fill(previous)", " fill(linear)"]))
    tail = draw(st.sampled_from(["", " ORDER BY time DESC", " LIMIT 2", " ORDER BY time DESC LIMIT 2"]))
    return (
        f"SELECT {call} FROM zz WHERE time >= {start}s AND time < {stop}s GROUP BY time({every}){fill}{tail} "
        f"tz('{draw(st.sampled_from([*ZONES, 'America/New_York', 'UTC']))}')"
    )


@st.composite
def turned_query(draw: st.DrawFn) -> str:
    """Windows from the newest on, with every fill and a limit."""
    name = draw(st.sampled_from(["mean", "sum", "max", "last", "first", "count", "spread", "median"]))
    call = f"{name}({draw(numeric_field)})"
    by = draw(st.sampled_from(["time(10s)", "time(30s)", "time(45s,7s)", "time(20s,-3s)"]))
    tags = draw(st.sampled_from(["", ", host", ", host, region"]))
    fill = draw(st.sampled_from(["", " fill(none)", " fill(3)", " fill(previous)", " fill(linear)", " fill(null)"]))
    shape = draw(
        st.sampled_from(
            [
                "{}",
                "{}",
                "{}",
                "derivative({},1s)",
                "difference({})",
                "non_negative_derivative({})",
                "moving_average({},3)",
                "cumulative_sum({})",
            ]
        )
    )
    tail = draw(
        st.sampled_from(
            [" ORDER BY time DESC", " ORDER BY time DESC LIMIT 3", " ORDER BY time DESC LIMIT 2 OFFSET 2", " LIMIT 3"]
        )
    )
    return f"SELECT {shape.format(call)} FROM m WHERE {draw(time_range())} GROUP BY {by}{tags}{fill}{tail}"


@st.composite
def show_query(draw: st.DrawFn) -> str:
    """SHOW with conditions, sources and limits."""
    source = draw(
        st.sampled_from(["", " FROM m", " FROM many", ' FROM "odd, ü"', " FROM /^c/", " FROM m, k", " FROM nowhere"])
    )
    where = draw(
        st.sampled_from(
            [
                "",
                " WHERE host = 'a'",
                " WHERE host != 'h01'",
                " WHERE rack =~ /r[01]/",
                " WHERE host !~ /^h/",
                " WHERE region = ''",
                " WHERE host = 'a' OR rack = 'r1'",
                " WHERE \"ta g\" = 'it\\'s'",
                " WHERE nowhere = 'x'",
                " WHERE nowhere != 'x'",
                " WHERE host = 'a' AND region != ''",
            ]
        )
    )
    limit = draw(st.sampled_from(["", "", " LIMIT 2", " LIMIT 3 OFFSET 1"]))
    # Of a measurement InfluxDB asks what no series of it has, not what one series lacks.
    found = "" if "!" in where or "''" in where else where
    return draw(
        st.sampled_from(
            [
                f"SHOW TAG KEYS{source}{where}{limit}",
                f"SHOW TAG VALUES{source} WITH KEY = host{where}{limit}",
                f"SHOW TAG VALUES{source} WITH KEY != host{where}{limit}",
                f'SHOW TAG VALUES{source} WITH KEY IN ("ta g", rack){where}{limit}',
                f"SHOW TAG VALUES{source} WITH KEY =~ /^(host|ra)/{where}{limit}",
                f"SHOW TAG VALUES{source} WITH KEY !~ /o/{where}{limit}",
                f"SHOW SERIES{source}{where}{limit}",
                f"SHOW MEASUREMENTS{found}{limit}",
                f"SHOW MEASUREMENTS WITH MEASUREMENT =~ /^[mo]/{found}{limit}",
                f"SHOW FIELD KEYS{source}{limit}",
                f"SHOW SERIES EXACT CARDINALITY{source or ' FROM many'}{where}",
                f"SHOW TAG VALUES EXACT CARDINALITY{source} WITH KEY = host",
                f"SHOW TAG KEY EXACT CARDINALITY{source}",
            ]
        )
    )

"""The bodies of test_line_protocol.py; DIFFERENT has those where the collector differs on purpose, with the reason."""

from typing import Final, NamedTuple

LONG: Final = "x" * 60_000
TOO_LONG: Final = "x" * 65_530

ESCAPES: Final = [
    r"m\ x,t\ k=a\ b v=1 1",
    r"m\,x,t\,k=a\,b v=1 1",
    r"m=x,t\=k=a\=b v\=f=1 1",
    r"m,t=a v\ w=1,x\,y=2 1",
    r"m\\x,t=a\\b v=1 1",
    r"m\x,t=a\nb,u\v=w v\x=1 1",
    r"m\\ v=1 1",
    r"m\ v=1 1",
    r"m,t=a\ v=1 1",
    r"m,t=a\  v=1 1",
    r"m,t=a\\ v=1 1",
    r"m,t=a\,v=1 1",
    r"m,t=\ v=1 1",
    r"m,t=\= v=1 1",
    r"m,t\=a v=1 1",
    r"m,t\\=a v=1 1",
    r"m,\ =a v=1 1",
    r"m v\=1 1",
    r"m v\\=1 1",
    r"m v\\w=1 1",
    r"m v\,w=1 1",
    r"m \ =1 1",
    r"m v\ =1 1",
    r"m \"v=1 1",
    "m\\",
    'm"q",t="x" v=1 1',
    'm,t="x\\ y" v=1 1',
    'm,t="x y" v=1 1',
    'm,t=a"b c"=d v=1 1',
    'm,t=a v"=1 1',
    'm f"x=1,g="a\nb" 1',
    'm "v w"=1 1',
    'm a="b"c="d" 1',
    r"m v\\=1w=t 1",
    "m'x,t='a\\ b' v=1 1",
    "m;x/y,t={a;b} v=1 1",
    "_m,_t=1 _v=1 1",
    "é\\ 日,ü=ß😀 ö=1 1",
    "\ufeffm v=1 1",
    "m,t=a\u2028b v=1 1",
    "\N{NO-BREAK SPACE}#m v=1 1",
    "\x0bm v=1 1",
    "m,t=\x7f\x01 v=1 1",
    "m\x00x v=1 1",
]
STRINGS: Final = [
    'm s="" 1',
    'm s="a,b=c d # e" 1',
    'm s="é日本😀\u2028" 1',
    'm s="a\nb" 1',
    'm s="a\r\nb" 1',
    'm s="a\n\n#b\nc" 1\nm s="d" 2',
    'm s="a\x00b" 1',
    r'm s="a\nb" 1',
    r'm s="a\tb\x" 1',
    r'm s="a\\b" 1',
    r'm s="a\\" 1',
    r'm s="a\\",v=1 1',
    r'm s="a\\\\" 1',
    r'm s="a\"b" 1',
    r'm s="a\\\"b" 1',
    r'm s="a\,b\=c\ d" 1',
    r'm s="a\" 1',
    'm s="a\\" 1\nm v=2 2\n',
    'm s="a\\\nb" 1',
    'm s="a""b" 1',
    'm v="a"b"c" 1',
    'm s=""" 1',
    'm s="a 1',
    'm s="x" 1\nm s="unclosed 2\nm s="y" 3',
    'm v=1" 1\nm v=2 2',
    'm s="a" 1\n"x" y=1 2',
    "m s=a 1",
    "m s='a' 1",
    'm s=a"b" 1',
    'm s= "a" 1',
    'm s="a" ,v=1 1',
    'm s="a",t="b,c=d",v=1 1',
]
NUMBERS: Final = "\n".join(
    f"m v{column}={number} {column}"
    for column, number in enumerate(
        [
            *["1", "-1", "1.", ".5", "-.5", "0.1234567890123456789", "123456789012345678901234567890", "00.5", "01"],
            *["1e3", "1E3", "1e+3", "1e-3", "1.7976931348623157e308", "5e-324", "1e-400", "-0", "-0.0"],
            *["+1", ".", "-", "1e", "e3", "1ee3", "1e3.5", "1e400", "-1e400", "1.8e308", "1..2", "1-2", "--1", "1_000"],
            *["\u0663", "1.\u0663", "\u0663i", "1\u00a0", "\uff11"],  # digits elsewhere, a wide one
            *["NaN", "nan", "inf", "-Inf", "+Inf", "0x1p-2", "1;w=2", "=1"],
            *["9223372036854775807i", "-9223372036854775808i", "9223372036854775808i", "-9223372036854775809i"],
            *["0i", "-0i", "00012i", "+1i", "1.0i", "i", "-i", "1I", "1e3i", "18446744073709551615u", "-1u"],
            *["t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"],
            *["tRUE", "TrUe", "tr", "yes", "fa", "FALSe"],
        ]
    )
)
LINES: Final = [
    "# comment\nm v=1 1",
    "  # comment\nm v=1 1",
    "m v=1 1\n#",
    "#",
    "",
    " ",
    "\n\n\nm v=1 1\n\n",
    "\tm v=1 1",
    "  m v=1 1",
    "m v=1 1 ",
    "m  v=1 1",
    "m v=1  1",
    "m v=1\t1",
    "m\tv=1 1",
    "m v=1 1 # no comment",
    "m #v=1 1",
    "m v=1 #1",
    "m,t=#a v=1 1",
    "m v=1 1\n\x00",
    "m,t=a\nb v=1 1",
    "m",
    "m ",
    "m 1",
    "m v 1",
    "m v= 1",
    "m =1 1",
    "m v=1, 1",
    "m ,v=1 1",
    "m v=1,,w=2 1",
    "m v=1,w 1",
    "m v=1,w= 1",
    "m v=1 w=2 1",
    ",a=1 v=1 1",
    " v=1 1",
]
TIMES: Final = "\n".join(
    f"m v{column}=1 {stamp}"
    for column, stamp in enumerate(
        [
            *["0", "-1", "00001", "-9223372036854775806", "9223372036854775806"],
            *["-9223372036854775807", "-9223372036854775808", "9223372036854775807", "9223372036854775808", "9" * 20],
            *["1.5", "1e9", "abc", "+1", "-", "1 2", "1i", "1s", "\u0663"],
        ]
    )
)
TAGS_AND_FIELDS: Final = [
    "m,a=1,a=2 v=1 1",
    "m,a=1,b=2,a=1 v=1 1",
    "m,b=2,a=1 v=1 1\nm,a=1,b=2 v=2 1",
    "m,a=1,A=2 v=1,V=2 1",
    "m,a=,b=1 v=1 1",
    "m,a= v=1 1",
    "m,a v=1 1",
    "m,=1 v=1 1",
    "m, v=1 1",
    "m,a=1, v=1 1",
    "m,,a=1 v=1 1",
    "m,a=1=2 v=1 1",
    "m v=1,v=2 1",
    "m v=1,w=2,v=3 1",
    "m v=1,v=2i 1",
    'm v="a",v=1 1',
    "m v=1 1\nm v=2 1",
    "m v=1,w=1 1\nm w=2 1",
    "m,t=a v=1 1\nm,t=a,u=b v=2 1",
    "time v=1 1",
    "m time=1 1",
    'm time="x" 1',
    "m time=1,v=2 1",
    "m v=2,time=1i 1",
    "m,time=1 v=1 1",
    "m,a=1,time=2 v=1 1",
    "m v=1 1\nm time=3 2\nm v=2 3",
    "m _time=1 1",
    "m,_field=1,_measurement=2 v=1 1",
]
HUGE: Final = [
    f"m,t={LONG} v=1 1",
    f"m,t={TOO_LONG} v=1 1",
    f"m{TOO_LONG} v=1 1",
    f"m {TOO_LONG}=1 1",
    f"m {LONG}=1 1",
    f'm s="{"x" * 1_000_000}" 1',
    f"m {','.join(f'f{number}={number}' for number in range(500))} 1",
    f"m,{','.join(f't{number}={number}' for number in range(500))} v=1 1",
    "\n".join(f"m,t={number % 7} v={number} {number}" for number in range(20_000)),
]
NOT_UTF8: Final = [
    b'm s="caf\xe9" 1',
    b'm s="\xff\xfe\xe2\x82",v=1 1',
    b'm v=1 1\nm s="\xff" 2\nm v=3 3',
    b"m v=1 1\n\xff\nm v=2 2",
    b"m v=\xff 1",
]


class Different(NamedTuple):
    """A case where the collector differs on purpose.

    Attributes:
        body: what is sent.
        status: what the collector answers.
        rows: how many points it then has.
        why: the reason.
    """

    body: str | bytes
    status: int
    rows: int
    why: str


DIFFERENT: Final = [
    Different("m v=1 1\r\nm v=2 2\r\n", 204, 2, "CRLF: InfluxDB 1.6 takes the CR for a part of the time"),
    Different("m v=1 1\r\n\r\n", 204, 1, "CRLF: InfluxDB 1.6 takes the CR for a line"),
    Different("m v=1 1\t", 204, 1, "a tab at the end harms nobody"),
    Different("m v=1u 1", 204, 1, "unsigned: InfluxDB 1.6 lacks them, 2.x and Telegraf have them; stored as integers"),
    Different("m\\=x,t=a v=1 1", 204, 1, "InfluxDB stores it under a name that no query finds"),
    Different(r"m\\\ x,t=a\\\,b v=1 1", 204, 1, "InfluxDB stores it under a name that no query finds"),
    Different("m,a==2 v=1 1", 400, 0, "InfluxDB answers 204 and no query finds the point"),
    Different('m s="a"b 1', 400, 0, 'InfluxDB stores a"'),
    Different("m,t=a\\\nb v=1 1", 400, 0, "a newline in a name; InfluxDB keeps backslash and newline"),
    Different("m v\\\nx=1 1", 400, 0, "a newline in a name; InfluxDB keeps backslash and newline"),
    Different("m v=1 1\nm v=2i 2\nm v=3 3", 400, 2, "a conflict within the first batch: InfluxDB loses all of it"),
    Different('m v="a" 1\nm v=1 2', 400, 1, "a conflict within the first batch: InfluxDB loses all of it"),
    Different(b"m,t=caf\xe9 v=1 1", 400, 0, "names that differ in such bytes only would become one"),
    Different(b"m\xff v=1 1", 400, 0, "InfluxDB answers 500"),
    Different(b"m \xff=1 1", 400, 0, "InfluxDB answers 500"),
]

CASES: Final[list[str | bytes]] = [*ESCAPES, *STRINGS, NUMBERS, *LINES, TIMES, *TAGS_AND_FIELDS, *NOT_UTF8]

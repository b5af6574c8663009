"""Names of DNS record types and response codes, as IANA's registry has them (RFC 6895)."""

import re
from typing import Final, Literal

RECORD_TYPES: Final[dict[str, int]] = {
    "A": 1, "NS": 2, "MD": 3, "MF": 4, "CNAME": 5, "SOA": 6, "MB": 7, "MG": 8, "MR": 9, "NULL": 10, "WKS": 11,
    "PTR": 12, "HINFO": 13, "MINFO": 14, "MX": 15, "TXT": 16, "RP": 17, "AFSDB": 18, "X25": 19, "ISDN": 20, "RT": 21,
    "NSAP": 22, "NSAP-PTR": 23, "SIG": 24, "KEY": 25, "PX": 26, "GPOS": 27, "AAAA": 28, "LOC": 29, "NXT": 30,
    "SRV": 33, "NAPTR": 35, "KX": 36, "CERT": 37, "A6": 38, "DNAME": 39, "APL": 42, "DS": 43, "SSHFP": 44,
    "IPSECKEY": 45, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "DHCID": 49, "NSEC3": 50, "NSEC3PARAM": 51, "TLSA": 52,
    "SMIMEA": 53, "HIP": 55, "NINFO": 56, "CDS": 59, "CDNSKEY": 60, "OPENPGPKEY": 61, "CSYNC": 62, "ZONEMD": 63,
    "SVCB": 64, "HTTPS": 65, "DSYNC": 66, "HHIT": 67, "BRID": 68, "SPF": 99, "UNSPEC": 103, "NID": 104, "L32": 105,
    "L64": 106, "LP": 107, "EUI48": 108, "EUI64": 109, "ANY": 255, "URI": 256, "CAA": 257, "AVC": 258, "AMTRELAY": 260,
    "RESINFO": 261, "WALLET": 262, "TA": 32_768, "DLV": 32_769,
}  # fmt: skip
"""Types that a query may ask for, by name; those with which a zone is transferred or a message is signed are none."""

USUAL_RECORD_TYPES: Final = ("A", "AAAA", "CNAME", "MX", "NS", "SOA", "TXT", "PTR", "SRV", "CAA", "HTTPS", "DS", "ANY")

Rcode = Literal[
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
    "NOTZONE", "DSOTYPENI", "BADVERS", "BADKEY", "BADTIME", "BADMODE", "BADNAME", "BADALG", "BADTRUNC", "BADCOOKIE",
]  # fmt: skip
"""A response code; those from BADVERS on need EDNS."""

_NUMBERED: Final = re.compile("TYPE([0-9]{1,5})")
_BY_NUMBER: Final = {number: name for name, number in RECORD_TYPES.items()}
_NO_QUESTIONS: Final = {
    0: "reserved",
    41: "EDNS's own (OPT)",
    249: "for keys (TKEY)",
    250: "for signatures (TSIG)",
    251: "a transfer of a zone (IXFR)",
    252: "a transfer of a zone (AXFR)",
}
_NO_QUESTION_NAMES: Final = {"OPT": 41, "TKEY": 249, "TSIG": 250, "IXFR": 251, "AXFR": 252}
_RCODE_SYNONYMS: Final = {"BADSIG": "BADVERS"}


def read_record_type(written: str) -> str:
    """The one name of a record type, written in either case or by its number (RFC 3597).

    Raises:
        ValueError: there is none, or no query can ask for it.

    >>> read_record_type("aaaa"), read_record_type("TYPE65"), read_record_type("type65400")
    ('AAAA', 'HTTPS', 'TYPE65400')
    """
    name = written.strip().upper()
    numbered = _NUMBERED.fullmatch(name)
    number = int(numbered[1]) if numbered else RECORD_TYPES.get(name, _NO_QUESTION_NAMES.get(name))
    if number in _NO_QUESTIONS:
        raise ValueError(f"{written!r} is {_NO_QUESTIONS[number]} and can't be asked for; {_ACCEPTED}")
    if number is None or number > 65_535:
        raise ValueError(f"{written!r} is no record type; {_ACCEPTED}")
    return _BY_NUMBER.get(number, f"TYPE{number}")


_ACCEPTED: Final = (
    f"takes a name from IANA's registry, such as {', '.join(USUAL_RECORD_TYPES)}, "
    "or TYPE and its number, such as TYPE65280"
)


def read_rcode(written: object) -> object:
    """The one name of a response code, written in either case; what is no text passes as it is.

    >>> read_rcode("nxdomain")
    'NXDOMAIN'
    """
    if not isinstance(written, str):
        return written
    name = written.strip().upper()
    return _RCODE_SYNONYMS.get(name, name)

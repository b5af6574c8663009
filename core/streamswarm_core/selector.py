"""Label selectors, as in Kubernetes: which agents a test or a silence is for.

    site=berlin,role in (edge,core),!lab

A comma means "and". Terms: `key`, `!key`, `key=value` (or `==`), `key!=value`, `key in (a,b)`, `key notin (a,b)`. As in
Kubernetes `!=` and `notin` match what lacks the key, too. A value with spaces or marks in it stands in double quotes.
Besides an agent's labels `agent` is its name and `site` its site, so `agent` matches every agent.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

LONGEST: Final = 1_000
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?")
_TOKEN: Final = re.compile(r"\s*(?:\"(?P<quoted>[^\"]*)\"|(?P<sign>==|!=|[,()=!\"])|(?P<word>[^\s,()=!\"]+))")


class Operator(StrEnum):
    """What a term asks of a label."""

    EXISTS = "exists"
    MISSING = "!"
    IN = "in"
    NOT_IN = "notin"


@dataclass(frozen=True, slots=True)
class Term:
    """One condition."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels fulfil it."""
        match self.operator:
            case Operator.EXISTS:
                return self.key in labels
            case Operator.MISSING:
                return self.key not in labels
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values


@dataclass(frozen=True, slots=True)
class Selector:
    """Conditions that all have to hold; never empty."""

    terms: tuple[Term, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels fulfil all of it.

        >>> parse_selector("site=berlin,!lab").matches({"site": "berlin"})
        True
        """
        return all(term.matches(labels) for term in self.terms)


class SelectorError(ValueError):
    """A selector that can't be read; the message says where and what would be accepted."""


class _Token(NamedTuple):
    text: str
    kind: str
    at: int


def parse_selector(text: str) -> Selector:
    """Read a selector.

    Raises:
        SelectorError: with the place and what would be accepted there.

    >>> parse_selector("role in (edge, core)").terms[0].operator
    <Operator.IN: 'in'>
    """
    if len(text) > LONGEST:
        raise SelectorError(f"a selector has at most {LONGEST} characters; this has {len(text)}")
    reader = _Reader(text)
    terms = [reader.term()]
    while reader.accept(","):
        terms.append(reader.term())
    reader.expect_end()
    return Selector(tuple(terms))


class _Reader:
    """Takes tokens from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0

    def term(self) -> Term:
        if self.accept("!"):
            return Term(self._name("a label's name"), Operator.MISSING)
        key = self._name("a label's name, such as site")
        if self.accept("=") or self.accept("=="):
            return Term(key, Operator.IN, frozenset({self._value()}))
        if self.accept("!="):
            return Term(key, Operator.NOT_IN, frozenset({self._value()}))
        for operator in (Operator.IN, Operator.NOT_IN):
            if self.accept(operator.value, kind="word"):
                return Term(key, operator, self._values())
        return Term(key, Operator.EXISTS)

    def _values(self) -> frozenset[str]:
        if not self.accept("("):
            raise self._refusal("a list of values in brackets, such as (edge,core)")
        values = [self._value()]
        while self.accept(","):
            values.append(self._value())
        if not self.accept(")"):
            raise self._refusal("a comma or a closing bracket")
        return frozenset(values)

    def accept(self, text: str, *, kind: str = "sign") -> bool:
        """Take the next token if it is this one."""
        token = self._peek()
        if token is None or (token.text, token.kind) != (text, kind):
            return False
        self._next += 1
        return True

    def expect_end(self) -> None:
        if self._peek() is not None:
            raise self._refusal("a comma, =, !=, in or notin")

    def _value(self) -> str:
        token = self._peek()
        if token is not None and token.kind == "quoted":
            self._next += 1
            return token.text
        return self._name("a value")

    def _name(self, wanted: str) -> str:
        token = self._peek()
        if token is None or token.kind != "word":
            raise self._refusal(wanted)
        if not _NAME.fullmatch(token.text) or len(token.text) > 63:
            wanted += ": at most 63 letters, digits, dots, dashes, underscores or slashes, no mark at either end"
            raise self._refusal(wanted)
        self._next += 1
        return token.text

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _refusal(self, wanted: str) -> SelectorError:
        token = self._peek()
        place = f"at character {token.at + 1} ({token.text!r})" if token else "at the end"
        return SelectorError(f"the selector {self._text!r} needs {wanted} {place}")


def _tokens(text: str) -> Iterator[_Token]:
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        assert found is not None  # noqa: S101 - for the type checker: word and sign together take any character
        kind = found.lastgroup or ""
        yield _Token(found.group(kind), kind, found.start(kind))
        at = found.end()

class InfluxQLError(Exception):
    """A statement can't be answered; the message is for whoever wrote it."""


class ParseError(InfluxQLError):
    """The text is no InfluxQL, or uses a part of it that the embedded store doesn't answer: HTTP 400."""


class ExecutionError(InfluxQLError):
    """The statement is understood and can't be carried out: HTTP 200 with `error` in its result."""


class PostponedError(Exception):
    """The statement takes too long to be answered on the thread that serves everybody; ask again on another."""

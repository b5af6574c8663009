import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from streamswarm_cli.services import COLLECTOR
from streamswarm_core.clock import now_ns
from streamswarm_core.errors import ConfigError
from streamswarm_core.lineprotocol import PRECISION_NS

app: Final = typer.Typer(help="The embedded store of a collector that is stopped.", no_args_is_help=True)

_MOST_SHOWN: Final = 20
Bucket = Annotated[
    str | None, typer.Option(help="Database, or database/retention-policy; the collector's own by default.")
]


@app.command("check")
def check() -> None:
    """Look through the whole store and its log; change nothing.

    Exit code 0 if all is well, 1 if something is wrong, 2 if it can't be looked at.
    """
    settings, path = _located()
    checking = COLLECTOR.module("store.checking")
    with _progress() as progress:
        task = progress.add_task("", total=None)
        parts = checking.check_store(
            path,
            settings.folder / "wal",
            settings.store_memory,
            lambda what: progress.update(task, description=what),
        )
    console = Console(soft_wrap=True)
    table = Table("part", "looked at", "findings", title=str(path), title_justify="left")
    for part in parts:
        table.add_row(part.part, part.looked_at, str(len(part.findings) or "none"))
    console.print(table)
    for part in parts:
        for finding in part.findings[:_MOST_SHOWN]:
            console.print(f"{part.part}: {finding}", markup=False, highlight=False)
        if len(part.findings) > _MOST_SHOWN:
            console.print(f"{part.part}: and {len(part.findings) - _MOST_SHOWN} more", highlight=False)
    raise typer.Exit(1 if any(part.findings for part in parts) else 0)


@app.command("compact")
def compact() -> None:
    """Write the store afresh, as small as what it holds.

    Needs room for a copy until it is done.
    """
    settings, path = _located()
    compacting = COLLECTOR.module("store.compacting")
    before = _bytes_of(path)
    with _progress() as progress, _named_errors(path):
        task = progress.add_task("", total=1)
        compacting.compact_store(
            path,
            settings.store_memory,
            lambda what, done, total: progress.update(task, description=what, completed=done, total=total),
        )
    after = _bytes_of(path)
    table = Table("part", "before, bytes", "after, bytes", title=str(path), title_justify="left")
    for part in before:
        table.add_row(part, f"{before[part]:,}", f"{after[part]:,}")
    Console(soft_wrap=True).print(table)


@app.command("export")
def export(
    out: Annotated[Path, typer.Argument(help="File to write; one that is there is replaced. `.gz` is packed.")],
    *,
    bucket: Bucket = None,
    measurement: Annotated[str | None, typer.Option(help="Only this measurement.")] = None,
    start: Annotated[str | None, typer.Option(help="First time, such as 2024-01-31 or 2024-01-31T12:00:00Z.")] = None,
    stop: Annotated[str | None, typer.Option(help="First time that is not wanted any more.")] = None,
    form: Annotated[
        Literal["lines", "csv", "parquet"],
        typer.Option("--format", help="Line protocol, CSV, or Parquet with one measurement."),
    ] = "lines",
) -> None:
    """Write points into a file, day by day in order of time.

    `import` reads line protocol and CSV back; CSV has the columns measurement, time (nanoseconds), tag:KEY and
    field:TYPE:KEY.
    """
    settings, path = _located()
    exporting = COLLECTOR.module("exporting")
    database, policy = _split(bucket or settings.bucket)
    wanted = exporting.Wanted(database, policy, measurement, *_span(start, stop))
    with _opened(settings, path) as store, _progress() as progress, _named_errors(out):
        task = progress.add_task("rows", total=None)
        rows = exporting.export(
            store, wanted, form, out, lambda done, total: progress.update(task, completed=done, total=total)
        )
    typer.echo(f"{rows:,} rows, {out.stat().st_size:,} bytes in {out}")


@app.command("import")
def import_files(
    files: Annotated[list[Path], typer.Argument(help="Line protocol or exported CSV, packed with gzip or not.")],
    *,
    bucket: Bucket = None,
    precision: Annotated[str, typer.Option(help=f"Unit of times in line protocol: {', '.join(PRECISION_NS)}.")] = "ns",
) -> None:
    """Read points from files into the store.

    Doing it again changes nothing.

    Exit code 0 if every line was taken, 1 if some were refused, 2 if a file can't be read.
    """
    if precision not in PRECISION_NS:
        raise ConfigError(f"--precision {precision}: one of {', '.join(PRECISION_NS)}")
    missing = next((file for file in files if not file.is_file()), None)
    if missing:
        raise ConfigError(f"{missing}: no such file")
    settings, path = _located(may_be_new=True)
    importing = COLLECTOR.module("importing")
    refused = 0
    with _opened(settings, path) as store, _progress() as progress:
        database, policy = _split(bucket or settings.bucket)
        store.create_database(database)
        importer = importing.Importer(store, store.resolve(database, policy), precision, now_ns())
        for file in files:
            task = progress.add_task(file.name, total=max(1, file.stat().st_size))
            with _named_errors(file):
                done = importer.take(file, lambda read, task=task: progress.update(task, completed=read))
            refused += done.refused
            progress.console.print(f"{file}: {done.points:,} points, {done.refused:,} lines refused", highlight=False)
            for line in done.named:
                progress.console.print(f"  line {line.number}: {line.reason}", markup=False, highlight=False)
    raise typer.Exit(1 if refused else 0)


def _located(*, may_be_new: bool = False) -> tuple[Any, Path]:
    """The collector's settings, and its store's file."""
    settings: Any = COLLECTOR.load_settings()
    path = settings.folder / "store.duckdb"
    if may_be_new:
        with _named_errors(settings.folder):
            settings.folder.mkdir(parents=True, exist_ok=True)
    elif not path.exists():
        raise ConfigError(f"{path}: no such store; STREAMSWARM_DATA names another data folder")
    return settings, path


@contextlib.contextmanager
def _opened(settings: Any, path: Path) -> Iterator[Any]:
    """The store with everything that the log has for it; closed in good order, Ctrl-C or not."""
    store = COLLECTOR.module("store.embedded").EmbeddedStore(path, memory_limit=settings.store_memory, recent_bytes=0)
    refused: type[Exception] = COLLECTOR.module("store.schema").RefusedError
    try:
        log = COLLECTOR.module("wal").Wal(settings.folder / "wal", after=store.stored_lsn)
        try:
            COLLECTOR.module("sinks.embedded").EmbeddedSink(store, log).replay()
        finally:
            log.close()
        yield store
    except refused as error:
        raise ConfigError(str(error)) from None
    finally:
        store.close()


def _split(bucket: str) -> tuple[str, str | None]:
    database, _, policy = bucket.partition("/")
    return database, policy or None


def _span(start: str | None, stop: str | None) -> tuple[int, int]:
    conditions, errors = COLLECTOR.module("influxql.conditions"), COLLECTOR.module("influxql.errors")
    bounds = [-(2**63), 2**63 - 1]
    for place, (option, text) in enumerate((("--start", start), ("--stop", stop))):
        if text is None:
            continue
        try:
            bounds[place] = conditions.parse_time(text)
        except errors.ParseError:
            raise ConfigError(f"{option} {text}: write 2024-01-31 or 2024-01-31T12:00:00Z") from None
    if bounds[0] >= bounds[1]:
        raise ConfigError(f"no time is from --start {start} on and before --stop {stop}; give a later --stop")
    return bounds[0], bounds[1]


def _bytes_of(path: Path) -> dict[str, int]:
    files = {"store.duckdb": [path], "cold files": list(path.with_suffix(".cold").glob("*"))}
    return {part: sum(one.stat().st_size for one in paths) for part, paths in files.items()}


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, soft_wrap=True),
        transient=True,
    )


@contextlib.contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Say what failed in one line."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{error.filename or path}: {error.strerror or error}") from None

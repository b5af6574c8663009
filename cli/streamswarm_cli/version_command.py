import typer

from streamswarm_core import __version__


def version() -> None:
    """Print the version."""
    typer.echo(f"streamswarm {__version__}")

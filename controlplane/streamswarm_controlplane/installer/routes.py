"""The script that installs an agent. It holds no secret: the token comes from whoever runs it."""

from functools import cache
from importlib.resources import files
from shlex import quote

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from streamswarm_controlplane.deps import SettingsDep
from streamswarm_core import __version__

router = APIRouter(include_in_schema=False)


@router.get("/install.sh", response_class=PlainTextResponse)
def install_script(settings: SettingsDep) -> PlainTextResponse:
    """For `curl … | sudo sh -s -- --token …`."""
    text = _script().replace("'__URL__'", quote(settings.url)).replace("__URL__", settings.url)
    text = text.replace("__VERSION__", __version__)
    return PlainTextResponse(text, media_type="text/x-shellscript")


@cache
def _script() -> str:
    return (files(__package__) / "install.sh").read_text(encoding="utf-8")

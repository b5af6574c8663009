"""Searching for patterns in what servers say, without letting a server keep the agent busy."""

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_core.patterns import is_quick

Groups = Sequence[str | None]
"""What was found, then what each of the pattern's groups matched."""

_MOST_SEARCHED: Final = 1_000_000
_CPU_SECONDS: Final = 2
_WALL_SECONDS: Final = 10.0
# A search holds the interpreter's lock until it ends, so that no thread could stop it; the kernel can stop a process.
_PROGRAM: Final = f"""
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({_CPU_SECONDS}, {_CPU_SECONDS}))
pattern, texts = json.load(sys.stdin.buffer)
found = [re.search(pattern, text) for text in texts]
json.dump([match and [match[0], *match.groups()] for match in found], sys.stdout)
"""


async def search(pattern: str, texts: Iterable[str]) -> list[Groups | None]:
    """Search each text, its first million characters, for a pattern; None where it isn't found.

    Raises:
        ProbeFault: it takes more than two seconds of the processor.
    """
    bounded = [text[:_MOST_SEARCHED] for text in texts]
    if is_quick(pattern, sum(map(len, bounded))):
        matches = [re.search(pattern, text) for text in bounded]
        return [match and [match[0], *match.groups()] for match in matches]
    return await _search_apart(pattern, bounded)


async def found(pattern: str, *texts: str) -> bool:
    """Whether the pattern is found in any of the texts.

    Raises:
        ProbeFault: see search.
    """
    return any(await search(pattern, texts))


async def first_missing(patterns: Iterable[str], *texts: str) -> str | None:
    """The first pattern that is found in none of the texts, if there is one."""
    for pattern in patterns:
        if not await found(pattern, *texts):
            return pattern
    return None


async def first_found(patterns: Iterable[str], *texts: str) -> str | None:
    """The first pattern that is found in some of the texts, if there is one."""
    for pattern in patterns:
        if await found(pattern, *texts):
            return pattern
    return None


async def _search_apart(pattern: str, texts: list[str]) -> list[Groups | None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-c", _PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said = b""
    try:
        async with asyncio.timeout(_WALL_SECONDS):
            said, _ = await process.communicate(json.dumps([pattern, texts]).encode())
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0:
        detail = f"searching for {pattern!r} took more than {_CPU_SECONDS} s; a simpler pattern would do"
        raise ProbeFault(Fault.INTERNAL, detail)
    answer: list[Groups | None] = json.loads(said)
    return answer

"""Commands of `streamswarm admin`, typed by somebody."""

from dataclasses import dataclass
from pathlib import Path

from tests.commands import Done, run_command


@dataclass(frozen=True)
class Shell:
    """Where commands are typed."""

    url: str
    home: Path

    def run(self, *arguments: str, stdin: str = "", **more: str) -> Done:
        environment = {"XDG_CONFIG_HOME": str(self.home), "STREAMSWARM_URL": self.url, "TZ": "UTC", **more}
        return run_command("admin", *arguments, folder=self.home, stdin=stdin, **environment)

    def ok(self, *arguments: str, stdin: str = "") -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str, stdin: str = "") -> str:
        done = self.run(*arguments, stdin=stdin)
        assert (done.returncode, done.stdout.strip()) == (2, ""), done
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        return done.stderr

"""Archives that are no backup, or none any more: one line says so, whatever is in them."""

import io
import random
import tarfile
from pathlib import Path

import pytest

from streamswarm_cli.backup.archive import ArchiveWriter, read_archive
from streamswarm_core.errors import ConfigError

ABOUT = "streamswarm-backup.json"
GOOD = b'{"format": 1, "version": "0.1.0", "made_at": "2026-01-31T12:00:00+00:00"}'


def archive(path: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if "\0" in name:
                member.name, member.pax_headers = "x", {"path": name}
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("about", "more"),
    [
        (b"nonsense", ()),
        (b"\xff", ()),
        (b"[]", ()),
        (b"{}", ()),
        (GOOD.replace(b"1,", b'"one",'), ()),
        (GOOD.replace(b"0.1.0", b"\\u001b[2J"), ()),
        (b"[" * 100_000, ()),
        (GOOD, [("SHA256SUMS", b"\xff\xfe")]),
        (GOOD, [("a\0b", b"1")]),
    ],
)
def test_what_is_no_backup_is_refused_in_one_line(tmp_path: Path, about: bytes, more: list[tuple[str, bytes]]) -> None:
    path = archive(tmp_path / "x.tar", (ABOUT, about), *more)
    (tmp_path / "target").mkdir()
    with pytest.raises(ConfigError, match=r"x\.tar: .*no archive of `streamswarm backup`") as refused:
        read_archive(path, tmp_path / "target")
    assert len(str(refused.value).splitlines()) == 1
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("name", ["x.tar", "x.tgz"])
def test_a_damaged_backup_is_refused_wherever_the_damage_is(tmp_path: Path, name: str) -> None:
    source, path, kept = random.Random(name), tmp_path / name, tmp_path / "kept"
    kept.write_bytes(source.randbytes(3000))
    with ArchiveWriter(path) as writer, kept.open("rb") as file:
        writer.add(file, "agent/credential.json")
    whole = path.read_bytes()
    for number in range(500):
        damaged = bytearray(whole)
        for _ in range(source.choice((1, 4, 20))):
            damaged[source.randrange(len(damaged))] = source.randrange(256)
        path.write_bytes(damaged)
        target = tmp_path / str(number)
        target.mkdir()
        try:
            read_archive(path, target)
        except ConfigError:
            continue
        assert [one.read_bytes() for one in target.rglob("*") if one.is_file()] == [kept.read_bytes()]


def test_an_archive_is_not_written_into_a_file_that_somebody_else_has_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.tar.part").touch(0o644)
    monkeypatch.setattr(Path, "unlink", lambda *_arguments, **_options: None)  # they are quicker
    with pytest.raises(FileExistsError), ArchiveWriter(tmp_path / "x.tar"):
        raise AssertionError

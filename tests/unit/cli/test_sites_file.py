"""Spreadsheets of sites that hold what no spreadsheet should."""

from pathlib import Path

import pytest

from streamswarm_cli.admin.sites import _rows
from streamswarm_core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name,latitude,longitude\na,nan,1\n", "line 2: latitude: 'nan' is no number of degrees"),
        ("name,latitude,longitude\na,1,1e999\n", "line 2: longitude: '1e999' is no number of degrees"),
        ("name,address\na," + "x" * 200_000, "field larger than field limit"),
        ("name,name\na,b\n", "the first line has to name the columns, each once"),
    ],
)
def test_what_can_not_be_meant_is_refused_in_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "sites.csv"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        list(_rows(str(path)))
    assert complaint in str(refused.value)


@pytest.mark.parametrize("separator", ["\u2028", "\x0b", "\x0c", "\x1c", "\x85"])
def test_only_ends_of_lines_end_a_site(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "sites.csv"
    path.write_text(f'name,address\r\na,Main Street{separator}b\r\nc,"two\r\nlines"\r\n', newline="")
    found = {site["name"]: site["address"] for _, site in _rows(str(path))}
    assert found == {"a": f"Main Street{separator}b", "c": "two\r\nlines"}

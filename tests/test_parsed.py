"""What was parsed once is found again by its bytes; what cannot be relied on is parsed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gonogo.documents import read_yaml
from gonogo.errors import DefinitionError
from gonogo.parsed import ParsedFiles


@pytest.fixture
def parsed(tmp_path: Path) -> ParsedFiles:
    return ParsedFiles(tmp_path / "cache" / "gonogo")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "facts.yaml"
    path.write_text("step: facts\nnumbers: [1, 1.5, true, null, '1']\n", encoding="utf-8")
    return path


VALUE: dict[str, Any] = {"step": "facts", "numbers": [1, 1.5, True, None, "1"]}


def kept_files(parsed: ParsedFiles) -> list[Path]:
    return list(parsed.folder.glob("*.json"))


def test_a_file_is_parsed_once_and_means_the_same_afterwards(
    parsed: ParsedFiles, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_yaml(file, parsed=parsed).data
    monkeypatch.setattr("yaml.load", None)  # whoever parses now fails
    second = read_yaml(file, parsed=parsed).data
    assert repr(first) == repr(second) == repr(VALUE)


def test_a_changed_file_is_parsed_again_and_takes_the_place_of_the_old(parsed: ParsedFiles, file: Path) -> None:
    read_yaml(file, parsed=parsed)
    file.write_text("step: other\n", encoding="utf-8")
    assert read_yaml(file, parsed=parsed).data == {"step": "other"}
    assert read_yaml(file, parsed=parsed).data == {"step": "other"}
    assert len(kept_files(parsed)) == 1


def test_a_file_of_the_same_bytes_elsewhere_is_a_file_of_its_own(
    parsed: ParsedFiles, file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_bytes(file.read_bytes())
    assert read_yaml(file, parsed=parsed).data == read_yaml(other, parsed=parsed).data
    assert len(kept_files(parsed)) == 2


def test_a_mistake_in_a_kept_file_is_still_told_with_its_line(parsed: ParsedFiles, file: Path) -> None:
    read_yaml(file, parsed=parsed)
    document = read_yaml(file, parsed=parsed)
    with pytest.raises(DefinitionError, match=r"facts\.yaml:2: numbers: too many"):
        document.fail(("numbers",), "too many")


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-3],
        lambda content: content.partition(b"\n")[0],
        lambda content: content.partition(b"\n")[0] + b"\n[1, 2]",
        lambda content: b"0" + content,
        lambda content: b"",
        lambda content: b"\xff\xfe" + content,
    ],
    ids=["cut off", "nothing kept", "no mapping", "another format", "empty", "not text"],
)
def test_what_is_damaged_is_parsed_again(parsed: ParsedFiles, file: Path, damage: Callable[[bytes], bytes]) -> None:
    read_yaml(file, parsed=parsed)
    [kept] = kept_files(parsed)
    kept.write_bytes(damage(kept.read_bytes()))
    assert read_yaml(file, parsed=parsed).data == VALUE
    assert parsed.find(file, file.read_bytes()) == VALUE, "and kept anew"


@pytest.mark.parametrize("content", ["1: a number\n", "a: .nan\n", "a: !!set {b, c}\n", "a: !!binary aGVsbG8=\n"])
def test_what_json_cannot_give_back_is_not_kept(parsed: ParsedFiles, file: Path, content: str) -> None:
    file.write_text(content, encoding="utf-8")
    data = read_yaml(file, parsed=parsed).data
    assert repr(read_yaml(file, parsed=parsed).data) == repr(data)
    assert kept_files(parsed) == []


def test_the_folder_keeps_itself_out_of_git(parsed: ParsedFiles, file: Path) -> None:
    read_yaml(file, parsed=parsed)
    assert (parsed.folder / ".gitignore").read_text() == "*\n"
    assert {path.suffix for path in parsed.folder.iterdir() if path.name != ".gitignore"} == {".json"}


def test_a_file_that_is_refused_is_not_kept(parsed: ParsedFiles, file: Path) -> None:
    file.write_text("a: 1\na: 2\n", encoding="utf-8")
    for _ in range(2):
        with pytest.raises(DefinitionError, match="the key 'a' stands here a second time"):
            read_yaml(file, parsed=parsed)
    assert not parsed.folder.exists()


def test_a_folder_that_cannot_be_written_costs_time_and_nothing_else(file: Path, tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("")
    parsed = ParsedFiles(tmp_path / "in the way" / "gonogo")
    assert read_yaml(file, parsed=parsed).data == VALUE

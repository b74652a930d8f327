"""Files that people write are read strictly, and what is wrong is said with value, place and remedy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gonogo.documents import Document, Section, closest, kind, read_toml, read_yaml, show
from gonogo.errors import DefinitionError, GonogoError


def write(folder: Path, content: str | bytes, name: str = "step.yaml") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def section(folder: Path, content: str) -> Section:
    return Section.of(read_yaml(write(folder, content), root=folder))


def message(call: Callable[[], object]) -> str:
    with pytest.raises(DefinitionError) as caught:
        call()
    return str(caught.value)


def test_a_yaml_file_is_read_with_its_data_and_its_name(tmp_path: Path) -> None:
    document = read_yaml(write(tmp_path, "id: facts\nlist: [1, two]\n"), root=tmp_path)
    assert document.data == {"id": "facts", "list": [1, "two"]}
    assert document.shown == "step.yaml"


def test_a_toml_file_is_read(tmp_path: Path) -> None:
    assert read_toml(write(tmp_path, "a = 1\n[b]\nc = 'x'\n", "c.toml")).data == {"a": 1, "b": {"c": "x"}}


def test_dates_stay_the_text_that_stands_in_the_file(tmp_path: Path) -> None:
    assert read_yaml(write(tmp_path, "recorded: 2026-11-23")).data == {"recorded": "2026-11-23"}


@pytest.mark.parametrize("read", [read_yaml, read_toml])
def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path, read: Callable[..., Document]) -> None:
    said = message(lambda: read(tmp_path / "gone.yaml", root=tmp_path))
    assert said == "gone.yaml: there is no such file; create it, or correct the path in conftest.py"


@pytest.mark.parametrize("read", [read_yaml, read_toml])
def test_a_file_in_another_encoding_is_refused_with_byte_and_place(
    tmp_path: Path, read: Callable[..., Document]
) -> None:
    said = message(lambda: read(write(tmp_path, "id: café".encode("latin-1")), root=tmp_path))
    assert said == "step.yaml: byte 7 is not UTF-8 (b'\\xe9'); save the file as UTF-8"


@pytest.mark.parametrize("read", [read_yaml, read_toml])
def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path, read: Callable[..., Document]) -> None:
    (tmp_path / "folder.yaml").mkdir()
    said = message(lambda: read(tmp_path / "folder.yaml", root=tmp_path))
    assert said.startswith("folder.yaml: cannot be read (")
    assert said.endswith("correct the path or its permissions")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("a: 1\nb: 2\na: 3\n", ["step.yaml:3", "the key 'a' stands here a second time", "remove one of the two"]),
        ("a:\n  b: 1\n  b: 2\n", ["step.yaml:3", "the key 'b' stands here a second time"]),
        ("a: [1, 2\n", ["step.yaml:2", "not usable YAML", "correct this line"]),
        ("a: !!python/object/apply:os.system ['true']\n", ["step.yaml:1", "not usable YAML", "correct this line"]),
        ("a: !!python/name:os.system\n", ["step.yaml:1", "not usable YAML"]),
        ("a: &x [*x]\n", ["step.yaml:1", "recursive", "correct this line"]),
        ("a: !!int one\n", ["step.yaml", "'one'", "correct the file"]),
        ("a: \x00\n", ["step.yaml", "not usable YAML", "correct the file"]),
        ("- a\n- b\n", ["step.yaml:1", "the file holds a list", "write a mapping (key: value lines)"]),
        ("", ["step.yaml:1", "the file holds nothing", "write a mapping"]),
        ("just words\n", ["step.yaml:1", "the file holds a text", "write a mapping"]),
        ("7\n", ["step.yaml:1", "the file holds a number (7)", "write a mapping"]),
    ],
)
def test_yaml_that_cannot_be_used_is_refused_at_its_line(tmp_path: Path, content: str, parts: list[str]) -> None:
    said = message(lambda: read_yaml(write(tmp_path, content), root=tmp_path))
    for part in parts:
        assert part in said


@pytest.mark.parametrize("content", ["{[a]: b}", "? [a]\n: b\n", "a: {? {b: 1} : c}", "!!map [1, 2]"])
def test_yaml_with_a_key_that_is_no_text_is_refused_like_any_other_mistake(tmp_path: Path, content: str) -> None:
    said = message(lambda: read_yaml(write(tmp_path, content), root=tmp_path))
    assert said.startswith("step.yaml")


def test_loading_never_runs_code(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    command = f"a: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{witness}']]"
    message(lambda: read_yaml(write(tmp_path, command)))
    assert not witness.exists()


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("a = 1\na = 2\n", ["not usable TOML", "at line 2", "correct this place"]),
        ("a = \n", ["not usable TOML", "at line 1", "correct this place"]),
    ],
)
def test_toml_that_cannot_be_used_is_refused_at_its_place(tmp_path: Path, content: str, parts: list[str]) -> None:
    said = message(lambda: read_toml(write(tmp_path, content, "criteria.toml"), root=tmp_path))
    assert said.startswith("criteria.toml: ")
    for part in parts:
        assert part in said


def test_a_path_inside_the_project_is_shown_relative_and_one_outside_as_it_is(tmp_path: Path) -> None:
    assert show(tmp_path / "a" / "b.yaml", tmp_path) == "a/b.yaml"
    assert show(Path("/elsewhere/b.yaml"), tmp_path) == "/elsewhere/b.yaml"
    assert show(Path("a.yaml"), None) == "a.yaml"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "a mapping"),
        ([], "a list"),
        ("x", "a text"),
        (True, "true/false"),
        (None, "nothing"),
        (1.5, "a number (1.5)"),
    ],
)
def test_values_are_called_what_their_author_calls_them(value: object, words: str) -> None:
    assert kind(value) == words


def test_a_near_word_is_suggested_and_a_far_one_is_not() -> None:
    assert closest("requird", ["required", "advisory"]) == " (did you mean 'required'?)"
    assert closest("xyz", ["required", "advisory"]) == ""


def test_every_kind_of_value_is_read(tmp_path: Path) -> None:
    read = section(
        tmp_path,
        "text: words\nchoice: red\nnumber: 1.5\ninteger: 3\nflag: true\ntexts: [a, b]\nmapping: {k: 1}\nsection: {k: 2}\nsections: [{k: 3}]\n",
    )
    assert read.text("text") == "words"
    assert read.choice("choice", ("red", "blue")) == "red"
    assert read.number("number", low=1.5, high=1.5) == 1.5
    assert read.integer("integer") == 3
    assert read.flag("flag", default=False) is True
    assert read.texts("texts") == ("a", "b")
    assert read.mapping("mapping") == {"k": 1}
    inner = read.section("section")
    assert inner.integer("k") == 2
    assert [one.integer("k") for one in read.sections("sections")] == [3]
    inner.finish()
    read.finish()


def test_what_is_left_out_takes_its_default(tmp_path: Path) -> None:
    read = section(tmp_path, "{}")
    assert read.text("text", default="") == ""
    assert read.choice("choice", ("red",), default="red") == "red"
    assert read.number("number", default=2.5) == 2.5
    assert read.integer("integer", default=4) == 4
    assert read.flag("flag", default=True) is True
    assert read.texts("texts", default=("a",)) == ("a",)
    assert read.mapping("mapping", default={"k": 1}) == {"k": 1}
    assert read.sections("sections", default=({"k": 1},))[0].integer("k") == 1
    assert not read.has("text")
    read.finish()


Read = Callable[[Section], object]


@pytest.mark.parametrize(
    ("content", "read", "parts"),
    [
        ("a: 1", lambda s: s.text("b", example="a name"), ["step.yaml:1", "the key 'b' is missing", "write b: a name"]),
        ("x: 0\na: [1]", lambda s: s.text("a"), ["step.yaml:2", "a:", "[1] is a list", "write a text"]),
        ("x: 0\na: 5", lambda s: s.text("a"), ["step.yaml:2", "a:", "5 is a number", "in quotes"]),
        ("a: '  '", lambda s: s.text("a", example="words"), ["step.yaml:1", "a:", "the text is empty", "write words"]),
        (
            "a: rad",
            lambda s: s.choice("a", ("red", "blue")),
            ["a:", "'rad' is not one of red, blue", "did you mean 'red'?"],
        ),
        ("a: x", lambda s: s.number("a"), ["a:", "'x' is not a number", "write one such as 1"]),
        ("a: true", lambda s: s.number("a"), ["a:", "True is not a number"]),
        ("a: .nan", lambda s: s.number("a"), ["a:", "nan is not a number"]),
        ("a: -.inf", lambda s: s.number("a"), ["a:", "-inf is not a number"]),
        ("a: 7", lambda s: s.number("a", low=0, high=1), ["a:", "7 lies outside 0 to 1", "write a number between"]),
        ("a: 1.5", lambda s: s.integer("a"), ["a:", "1.5 is not a whole number", "write one such as 0"]),
        ("a: -1", lambda s: s.integer("a"), ["a:", "-1 lies outside 0"]),
        ("a: maybe", lambda s: s.flag("a", default=True), ["a:", "'maybe' is not true or false", "write one of them"]),
        ("a: 0", lambda s: s.flag("a", default=True), ["a:", "0 is not true or false"]),
        ("a: word", lambda s: s.texts("a"), ["a:", "'word' is a text", "write a list of texts"]),
        ("a:\n- x\n- ''", lambda s: s.texts("a"), ["step.yaml:3", "a[1]:", "'' is a text", "not empty"]),
        ("a:\n- x\n- 3", lambda s: s.texts("a"), ["step.yaml:3", "a[1]:", "3 is a number"]),
        ("b: 1", lambda s: s.texts("a"), ["the key 'a' is missing", "write a: a list of texts"]),
        ("a: [1]", lambda s: s.mapping("a"), ["a:", "[1] is a list", "write a mapping"]),
        ("a: {1: x}", lambda s: s.mapping("a"), ["a:", "the key 1 is a number (1)", "put it in quotes"]),
        ("a: {}", lambda s: s.sections("a"), ["a:", "{} is a mapping", "write a list of mappings"]),
        ("a:\n- {b: 1}\n- 2", lambda s: s.sections("a"), ["step.yaml:3", "a[1]:", "2 is a number", "write a mapping"]),
        ("a: {}", lambda s: s.section("a").text("b"), ["step.yaml:1", "a: the key 'b' is missing"]),
        (
            "a:\n- id: one\n  c: 1\n- id: two\n  c: x\n",
            lambda s: s.sections("a")[1].number("c"),
            ["step.yaml:5", "a 'two'.c:", "'x' is not a number"],
        ),
    ],
)
def test_a_wrong_value_is_refused_with_value_place_and_remedy(
    tmp_path: Path, content: str, read: Read, parts: list[str]
) -> None:
    said = message(lambda: read(section(tmp_path, content)))
    for part in parts:
        assert part in said


def test_a_key_that_nobody_asked_for_is_an_error_with_the_known_ones(tmp_path: Path) -> None:
    read = section(tmp_path, "name: x\ntitel: y\n")
    read.text("name")
    read.text("title", default="")
    said = message(read.finish)
    assert said == "step.yaml:2: titel: unknown key 'titel' (did you mean 'title'?); known are name, title"


def test_a_key_that_is_no_text_is_unknown_too(tmp_path: Path) -> None:
    assert "unknown key 7" in message(section(tmp_path, "7: x").finish)


def test_a_toml_error_names_the_key_without_a_line(tmp_path: Path) -> None:
    read = Section.of(read_toml(write(tmp_path, "[a]\nb = 1\n", "c.toml"), root=tmp_path))
    assert message(lambda: read.section("a").text("b")).startswith("c.toml: a.b: 1 is a number (1)")


def test_what_is_wrong_with_a_whole_document_names_the_file_alone(tmp_path: Path) -> None:
    document = read_toml(write(tmp_path, "a = 1", "c.toml"), root=tmp_path)
    assert message(lambda: document.fail((), "is not wanted")) == "c.toml: is not wanted"


def test_a_file_of_many_brackets_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    deep = "[" * (sys.getrecursionlimit() * 2)
    with pytest.raises(GonogoError):
        read_yaml(write(tmp_path, f"a: {deep}"))


def test_the_strict_loader_is_a_loader_of_its_own(tmp_path: Path) -> None:
    read_yaml(write(tmp_path, "a: 1"))
    assert yaml.safe_load("{a: 1, a: 2}") == {"a": 2}, "PyYAML's own loaders must stay as they are"


def test_an_error_in_a_table_of_a_list_names_the_line_on_which_the_table_begins(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('a = """\n[[one]]\n"""\n\n[[one]]\nb = 1\n  [[ one ]]  # second\nb = 2\n')
    with pytest.raises(DefinitionError, match=r"x\.toml:7: one\[1\]\.b: wrong"):
        Section.of(read_toml(tmp_path / "x.toml")).sections("one")[1].fail("b", "wrong")


def test_tables_that_are_written_in_a_line_have_none(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("one = [{b = 1}]\n")
    with pytest.raises(DefinitionError, match=r"x\.toml: one\[0\]\.b: wrong"):
        Section.of(read_toml(tmp_path / "x.toml")).sections("one")[0].fail("b", "wrong")

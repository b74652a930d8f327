"""Mutants of a source: what counts as one, how it is told, and the file that names the sources and explains what survives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gonogo.errors import DefinitionError
from gonogo.model import Status
from gonogo.mutant_trials import Tried
from gonogo.mutants import Explained, Mutant, MutationRules, load_mutation_rules, mutants_of, places_of
from gonogo.mutants_command import Tally
from gonogo.statistics import Limit


def mutants(text: str) -> list[Mutant | None]:
    return list(mutants_of("app/prompts.py", text, places_of(text)))


def changes(text: str) -> set[tuple[str, str]]:
    return {(one.was, one.becomes) for one in mutants(text) if one is not None}


def test_a_mutant_tells_where_and_what_was_changed() -> None:
    text = "def build(step):\n    if step:\n        return 7\n    return None\n"
    one = next(one for one in mutants(text) if one is not None and one.operator == "NumberReplacer")
    assert (one.file, one.line, one.was, one.becomes) == ("app/prompts.py", 3, "return 7", "return 8")
    assert one.text == text.replace("7", "8")
    assert one.diff.splitlines() == [
        "--- app/prompts.py",
        "+++ app/prompts.py",
        "@@ -2,3 +2,3 @@",
        "     if step:",
        "-        return 7",
        "+        return 8",
        "     return None",
    ]


def test_conditions_are_negated_and_numbers_moved_both_ways() -> None:
    found = changes("if ready:\n    count = 3\n")
    assert {("if ready:", "if not ready:"), ("count = 3", "count = 4"), ("count = 3", "count = 2")} <= found


def test_an_operator_is_replaced_by_one_other() -> None:
    found = changes("text = a + b\nshare = c / d\n")
    assert len(found) == 2
    assert {before for before, _ in found} == {"text = a + b", "share = c / d"}


def test_what_an_annotation_says_is_no_mutant_where_nobody_evaluates_it() -> None:
    source = (
        "def build(step: int | None, more: dict[int, 'x'] | None = None) -> str | None:\n    kept: int | None = None\n"
    )
    assert changes("from __future__ import annotations\n" + source) == set()
    assert any(before.startswith("def build") for before, _ in changes(source)), "it is evaluated here"


def test_a_field_of_a_dataclass_is_not_forgotten_with_its_annotation() -> None:
    source = "from __future__ import annotations\nclass Kept:\n    size: int | None = 3\n"
    assert {after for _, after in changes(source)} == {"size: int | None = 2", "size: int | None = 4"}


def test_two_changes_that_come_to_the_same_are_one_mutant() -> None:
    text = "a = 1\n"
    places = places_of(text)
    found = list(mutants_of("a.py", text, [*places, *places]))
    assert None not in found[: len(places)]
    assert set(found[len(places) :]) == {None}


def test_a_mutant_keeps_its_name_and_another_has_another() -> None:
    text = "a = 1\nb = 1\n"
    first, second = ({one.id for one in mutants(text) if one is not None} for _ in range(2))
    assert first == second
    assert len(first) == 4


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mutants.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_file_names_sources_and_a_share_and_explains_survivors(tmp_path: Path) -> None:
    survivor = '[[survivor]]\nfile = "a.py"\nwas = "x = 1"\nbecomes = "x = 2"\nwhy = "nobody reads x"\n'
    equivalent = survivor.replace("x = 2", "x = 3") + "equivalent = true\n"
    rules = load_mutation_rules(
        write(tmp_path, f'version = 1\nfiles = ["a.py"]\nkilled = ">= 0.9"\n{survivor}{equivalent}')
    )
    explained = Explained("a.py", "x = 1", "x = 2", "nobody reads x")
    both = (explained, replace(explained, becomes="x = 3", equivalent=True))
    assert rules == MutationRules(("a.py",), Limit(">=", 0.9), both)
    by_change = {one.becomes: one for one in mutants_of("a.py", "x = 1\n", places_of("x = 1\n")) if one is not None}
    assert rules.explained(by_change["x = 2"]) == rules.survivors[0]
    assert rules.explained(by_change["x = 0"]) is None


def test_a_line_that_is_taken_away_is_explained_by_what_it_was(tmp_path: Path) -> None:
    gone = '[[survivor]]\nfile = "a.py"\nwas = "@cache"\nwhy = "it only takes longer"\n'
    rules = load_mutation_rules(write(tmp_path, f'version = 1\nfiles = ["a.py"]\n{gone}'))
    source = "from functools import cache\n\n\n@cache\ndef one():\n    return 1\n"
    removed = [one for one in mutants_of("a.py", source, places_of(source)) if one is not None and one.was == "@cache"]
    assert [rules.explained(one) for one in removed] == [rules.survivors[0]]


def tried(becomes: str, verdict: Status) -> Tried:
    return Tried(f"id of {becomes}", "a.py", 1, "NumberReplacer", "x = 1", becomes, "", verdict, "structure")


def test_an_equivalent_mutant_is_not_counted_and_one_that_need_not_be_noticed_is() -> None:
    equivalent = Explained("a.py", "x = 1", "x = 2", "x is never read", equivalent=True)
    need_not = Explained("a.py", "x = 1", "x = 3", "x is for people")
    rules = MutationRules(("a.py",), Limit(">=", 0.5), (equivalent, need_not))
    survivors = [tried("x = 2", Status.GO), tried("x = 3", Status.GO)]
    tally = Tally(rules, [tried("x = 0", Status.NO_GO), *survivors])
    assert (tally.noticed, tally.status) == (0.5, Status.GO)
    assert (tally.survivors, tally.equivalent, tally.unexplained) == (survivors, survivors[:1], [])
    counted = Tally(
        MutationRules(("a.py",), Limit(">=", 0.5), (replace(equivalent, equivalent=False), need_not)), tally.tried
    )
    assert counted.noticed == pytest.approx(1 / 3)
    assert counted.status is Status.NO_GO


def test_what_is_said_to_be_equivalent_and_is_noticed_all_the_same_counts() -> None:
    rules = MutationRules(
        ("a.py",), Limit(">=", 1), (Explained("a.py", "x = 1", "x = 2", "never read", equivalent=True),)
    )
    tally = Tally(rules, [tried("x = 2", Status.NO_GO)])
    assert (tally.noticed, tally.equivalent) == (1, [])


def test_equivalent_mutants_alone_show_nothing() -> None:
    rules = MutationRules(
        ("a.py",), Limit(">=", 0), (Explained("a.py", "x = 1", "x = 2", "never read", equivalent=True),)
    )
    assert Tally(rules, [tried("x = 2", Status.GO)]).status is Status.INCONCLUSIVE


def test_without_a_share_ninety_five_per_cent_must_be_noticed(tmp_path: Path) -> None:
    assert load_mutation_rules(write(tmp_path, 'version = 1\nfiles = ["a.py"]\n')).killed == Limit(">=", 0.95)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('version = 2\nfiles = ["a.py"]\n', "version"),
        ("version = 1\n", "files"),
        ('version = 1\nfiles = ["a.py"]\nkilled = "most"\n', "'most' is not a limit"),
        ('version = 1\nfiles = ["a.py"]\nkiled = ">= 1"\n', "unknown key 'kiled'"),
        ('version = 1\nfiles = ["a.py"]\n[[survivor]]\nfile = "a.py"\nwas = "x"\nbecomes = "y"\n', "why"),
    ],
)
def test_what_is_wrong_in_the_file_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        load_mutation_rules(write(tmp_path, text))


def test_a_project_without_the_file_is_told_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"mutants\.toml: no such file; write version = 1"):
        load_mutation_rules(tmp_path / "mutants.toml")


def test_without_the_tool_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cosmic_ray", None)
    with pytest.raises(DefinitionError, match=r"pip install 'gonogo\[mutants\]'"):
        places_of("a = 1\n")


def test_what_is_explained_still_stands_in_the_sources() -> None:
    root = Path(__file__).parents[1]
    rules = load_mutation_rules(root / "acceptance" / "mutants.toml", root=root)
    sources = {name: (root / name).read_text(encoding="utf-8") for name in rules.files}
    for one in rules.survivors:
        lines = "\n".join(line.strip() for line in sources[one.file].splitlines())
        assert f"\n{lines}\n".count(f"\n{one.was}\n") == 1, "gone, or elsewhere too: see whether it still survives"
        assert one.was != one.becomes

"""criteria.toml: what is read, and what is refused with value, place and remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gonogo.criteria import Criteria, ProofRules, Scope, Statistic, load_criteria
from gonogo.errors import DefinitionError
from gonogo.model import Ability, Claim, Level, Phase
from gonogo.statistics import Decision, Limit

PROMPT = '[prompt]\nsections = ["CONTEXT", "TASK", "RESPONSE"]\ninputs = "TASK"\n'
LEVELS = 'pre = "required"\npost-stub = "advisory"\npost-real = "not judged"\nnightly = "required"\n'
ENTRY = f'[[criterion]]\nid = "construction-time"\ntitle = "Fast"\ngroup = "Speed"\nper = ["step", "run"]\n{LEVELS}'
MEASURE = '[[criterion.measure]]\nsample = "construction"\nstatistic = "quantile"\nquantile = 0.99\nunit = "s"\ngo = "< 0.001"\n'
WHOLE = f"version = 1\n{PROMPT}{ENTRY}{MEASURE}"


def load(folder: Path, text: str = WHOLE) -> Criteria:
    path = folder / "criteria.toml"
    path.write_text(text, encoding="utf-8")
    return load_criteria(path, root=folder)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(DefinitionError) as caught:
        load(folder, text)
    return str(caught.value)


def test_a_criterion_is_read_with_its_measure(tmp_path: Path) -> None:
    criteria = load(tmp_path)
    [criterion] = criteria.criteria
    assert (criterion.id, criterion.title, criterion.group) == ("construction-time", "Fast", "Speed")
    assert criterion.scopes == (Scope.STEP, Scope.RUN)
    assert (criterion.needs, criterion.synthetic) == ((), None)
    assert (criterion.every_case, criterion.measured, criterion.computed) == (False, False, False)
    [measure] = criterion.measures
    assert (measure.sample, measure.statistic, measure.quantile) == ("construction", Statistic.QUANTILE, 0.99)
    assert (measure.go, measure.unit, measure.scope) == (Limit("<", 0.001), "s", Scope.STEP)
    assert (measure.confidence, measure.minimum) == (0.95, 1)
    assert criteria.grammar.sections == ("CONTEXT", "TASK", "RESPONSE")


def test_the_criteria_of_this_project_load() -> None:
    root = Path(__file__).parent.parent
    criteria = load_criteria(root / "acceptance" / "criteria.toml", root=root)
    assert "prompt-structure" in criteria


def test_every_option_of_a_criterion_is_read(tmp_path: Path) -> None:
    options = (
        'needs = ["reply", "releases"]\nsynthetic = "advisory"\nevery_case = true\nmeasured = true\ncomputed = true\n'
    )
    [criterion] = load(
        tmp_path, f"version = 1\n{PROMPT}{ENTRY}{options}[criterion.parameters]\nrounds = 600\n"
    ).criteria
    assert criterion.needs == (Ability.REPLY, Ability.RELEASES)
    assert criterion.synthetic is Level.ADVISORY
    assert criterion.every_case
    assert criterion.measured
    assert criterion.computed
    assert criterion.integer("rounds") == 600
    assert criterion.number("rounds") == 600.0


def test_a_grammar_of_another_team_is_read(tmp_path: Path) -> None:
    other = (
        '[prompt]\nsections = ["Role", "Work"]\ninputs = "Work"\nheading = "## {section}"\nseparator = " = "\n'
        'continuation = "| "\nplaceholder = "\\\\{(?P<field>\\\\w+)\\\\}"\n'
    )
    grammar = load(tmp_path, f"version = 1\n{other}{ENTRY}").grammar
    assert grammar.heading_of("Work") == "## Work"
    assert grammar.references("a {one} b") == ("one",)
    assert grammar.escape("a\nb") == "a\n| b"


def test_each_phase_has_its_level(tmp_path: Path) -> None:
    [criterion] = load(tmp_path).criteria
    levels = [criterion.level(phase, synthetic=False) for phase in Phase]
    assert levels == [Level.REQUIRED, Level.ADVISORY, Level.NOT_JUDGED, Level.REQUIRED]


def test_synthetic_replies_lower_a_required_level_and_no_other(tmp_path: Path) -> None:
    [criterion] = load(tmp_path, WHOLE.replace("nightly", 'synthetic = "advisory"\nnightly')).criteria
    assert criterion.level(Phase.PRE, synthetic=True) is Level.ADVISORY
    assert criterion.level(Phase.PRE, synthetic=False) is Level.REQUIRED
    assert criterion.level(Phase.POST_REAL, synthetic=True) is Level.NOT_JUDGED


def test_claims_follow_from_the_steps(tmp_path: Path) -> None:
    [criterion] = load(tmp_path).criteria
    assert criterion.claims(["a", "b"]) == (
        Claim("construction-time", "a"),
        Claim("construction-time", "b"),
        Claim("construction-time"),
    )
    assert criterion.claims([]) == (Claim("construction-time"),)


def test_a_criterion_is_found_by_its_id(tmp_path: Path) -> None:
    criteria = load(tmp_path)
    assert criteria["construction-time"].title == "Fast"
    assert "construction-time" in criteria
    assert "another" not in criteria
    with pytest.raises(KeyError, match="another"):
        criteria["another"]


@pytest.mark.parametrize(
    ("find", "replace", "parts"),
    [
        ("version = 1", "version = 2", ["version: 2 is not a version", "write 1"]),
        ("version = 1\n", "", ["the key 'version' is missing"]),
        (
            'id = "construction-time"',
            'id = "Construction Time"',
            ["id: 'Construction Time' is not an id", "joined by hyphens"],
        ),
        (
            'pre = "required"',
            'pre = "requird"',
            [
                "'construction-time'.pre: 'requird' is not one of required, advisory, not judged",
                "did you mean 'required'",
            ],
        ),
        (
            'nightly = "required"\n',
            "",
            ["criterion 'construction-time': the key 'nightly' is missing", "required or advisory"],
        ),
        ('per = ["step", "run"]', "per = []", ["per: the list is empty", "write ['step'], ['run'] or both"]),
        ('per = ["step", "run"]', 'per = ["case"]', ["per: 'case' is not one of step, run"]),
        ('title = "Fast"', 'title = "Fast"\nneeds = ["prompts"]', ["needs: 'prompts' is not one of prompt, reply"]),
        ('title = "Fast"', 'titel = "Fast"', ["the key 'title' is missing"]),
        ('title = "Fast"', 'title = "Fast"\nlimit = 3', ["unknown key 'limit'", "known are"]),
        ('title = "Fast"', 'title = "Fast"\nmeasured = 1', ["measured: 1 is not true or false"]),
        ('title = "Fast"', 'title = "Fast"\nsynthetic = "no"', ["synthetic: 'no' is not one of"]),
        ('go = "< 0.001"', 'go = "<1ms"', ["measure[0].go: '<1ms' is not a limit", "write '< 0.001'"]),
        ('go = "< 0.001"', 'go = "< nan"', ["go: '< nan' is not a limit", "write an operator"]),
        ('go = "< 0.001"', 'go = "== 3"', ["go: '== 3' is not a limit", "write an operator"]),
        ('go = "< 0.001"', "go = 0.001", ["go: 0.001 is a number", "'< 0.001'"]),
        ("quantile = 0.99", "quantile = 99", ["quantile: 99 lies outside 0.0 to 1.0"]),
        ("quantile = 0.99", "quantile = 1.0", ["quantile: 1.0 is no quantile", "such as 0.99"]),
        ("quantile = 0.99\n", "", ["the key 'quantile' is missing"]),
        ("quantile = 0.99", "quantile = nan", ["quantile: nan is not a number"]),
        ('"quantile"', '"median"', ["unknown key 'quantile'"]),
        (
            '"quantile"',
            '"mean"',
            ["statistic: 'mean' is not one of proportion, share, quantile, median, pseudomedian, maximum"],
        ),
        ('unit = "s"', 'unit = "s"\nconfidence = 1.0', ["confidence: no sample gives certainty", "such as 0.95"]),
        ('unit = "s"', 'unit = "s"\nconfidence = 0.3', ["confidence: 0.3 lies outside 0.5 to 1.0"]),
        ('unit = "s"', 'unit = "s"\nminimum = 0', ["minimum: 0 lies outside 1"]),
        ('unit = "s"', 'unit = "s"\nper = "case"', ["per: 'case' is not one of step, run"]),
        (
            'inputs = "TASK"',
            'inputs = "INPUT"',
            ["prompt: [prompt] inputs = 'INPUT' is not one of the sections", "write one of them"],
        ),
        ('inputs = "TASK"', 'inputs = "TASK"\nheading = "x:"', ["heading = 'x:' names no section", "'{section}:'"]),
        (
            'inputs = "TASK"',
            'inputs = "TASK"\nheading = 3',
            ["prompt.heading: 3 is not a text", "write for example heading"],
        ),
        ('inputs = "TASK"', 'inputs = "TASK"\ncontinuation = ""', ["prompt.continuation: '' is not a text"]),
        (
            'inputs = "TASK"',
            'inputs = "TASK"\ncontinuation = "\\n"',
            ["continuation = '\\n' must be a text within one line"],
        ),
        ('inputs = "TASK"', 'inputs = "TASK"\nplaceholder = "("', ["placeholder = '(' is no regular expression"]),
        (
            'inputs = "TASK"',
            'inputs = "TASK"\nplaceholder = "x"',
            ["placeholder = 'x' has no group (?P<field>...)", "add it"],
        ),
        (
            'inputs = "TASK"',
            'inputs = "TASK"\nsection = 1',
            ["prompt.section: unknown key 'section'", "did you mean 'sections'"],
        ),
    ],
)
def test_what_is_wrong_is_refused_with_value_place_and_remedy(
    tmp_path: Path, find: str, replace: str, parts: list[str]
) -> None:
    assert find in WHOLE
    said = refused(tmp_path, WHOLE.replace(find, replace, 1))
    assert re.match(r"criteria\.toml(:\d+)?: ", said)
    for part in parts:
        assert part in said


def test_a_second_criterion_of_the_same_id_is_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, f"version = 1\n{PROMPT}{ENTRY}{ENTRY}")
    assert re.search(r"'construction-time' stands here a second time; remove one", said)


def test_criteria_that_ask_for_nothing_are_refused(tmp_path: Path) -> None:
    assert "there is no criterion; write at least one" in refused(tmp_path, f"version = 1\ncriterion = []\n{PROMPT}")


def test_an_unknown_key_at_the_top_is_refused(tmp_path: Path) -> None:
    assert "unknown key 'phases'" in refused(tmp_path, f"phases = 3\n{WHOLE}")


@pytest.mark.parametrize("heading", ["{section}{0}", "{section} {name}", "{section"])
def test_a_heading_that_cannot_be_filled_in_is_refused(tmp_path: Path, heading: str) -> None:
    said = refused(tmp_path, WHOLE.replace('inputs = "TASK"', f'inputs = "TASK"\nheading = "{heading}"'))
    assert "heading" in said


@pytest.mark.parametrize("heading", ["{section}: ", "{section}:\\n", "\\n{section}"])
def test_a_heading_that_no_line_of_a_prompt_can_equal_is_refused(tmp_path: Path, heading: str) -> None:
    said = refused(tmp_path, WHOLE.replace('inputs = "TASK"', f'inputs = "TASK"\nheading = "{heading}"'))
    assert "heading" in said


def test_a_section_that_is_declared_twice_is_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, WHOLE.replace('"CONTEXT", "TASK", "RESPONSE"', '"CONTEXT", "TASK", "TASK"'))
    assert "TASK" in said


@pytest.mark.parametrize("value", ["'many'", "true", "[1]"])
def test_a_parameter_that_is_no_number_is_refused_when_its_suite_asks(tmp_path: Path, value: str) -> None:
    [criterion] = load(tmp_path, f"version = 1\n{PROMPT}{ENTRY}[criterion.parameters]\nrounds = {value}\n").criteria
    with pytest.raises(
        DefinitionError, match=r"criterion 'construction-time': parameters.rounds = .* is not a number; write one"
    ):
        criterion.integer("rounds")
    with pytest.raises(DefinitionError, match=r"parameters\.gone = None is not a number"):
        criterion.number("gone")


def test_a_parameter_that_is_no_whole_number_is_refused_where_one_is_asked(tmp_path: Path) -> None:
    [criterion] = load(tmp_path, f"version = 1\n{PROMPT}{ENTRY}[criterion.parameters]\nrounds = 1.5\n").criteria
    assert criterion.number("rounds") == 1.5
    with pytest.raises(DefinitionError, match=r"parameters\.rounds = 1\.5 is not a whole number"):
        criterion.integer("rounds")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_parameter_that_every_comparison_would_pass_is_no_number(tmp_path: Path, value: str) -> None:
    [criterion] = load(tmp_path, f"version = 1\n{PROMPT}{ENTRY}[criterion.parameters]\nlimit = {value}\n").criteria
    with pytest.raises(DefinitionError, match=r"parameters\.limit"):
        criterion.number("limit")
    with pytest.raises(DefinitionError, match=r"parameters\.limit"):
        criterion.integer("limit")


def test_the_measure_of_a_sample_is_found_by_its_name(tmp_path: Path) -> None:
    [criterion] = load(tmp_path).criteria
    assert criterion.measure("construction") is criterion.measures[0]
    with pytest.raises(
        DefinitionError, match=r"'construction-time' has no measure of the sample 'growth'; add it, its suite asks"
    ):
        criterion.measure("growth")


@pytest.mark.parametrize(
    ("values", "decision"),
    [
        ([0.0005] * 298, Decision.OPEN),
        ([0.0005] * 299, Decision.WITHIN),
        ([0.002] * 299, Decision.OUTSIDE),
        ([0.0005] * 297 + [0.002] * 2, Decision.OPEN),
    ],
)
def test_a_sample_is_open_until_more_of_it_could_not_tell(
    tmp_path: Path, values: list[float], decision: Decision
) -> None:
    assert load(tmp_path).criteria[0].measures[0].decide(values) is decision


def test_a_sample_below_the_minimum_is_open(tmp_path: Path) -> None:
    text = WHOLE.replace('unit = "s"', 'unit = "s"\nminimum = 400')
    assert load(tmp_path, text).criteria[0].measures[0].decide([0.0005] * 399) is Decision.OPEN


def test_texts_among_the_parameters_are_a_list_of_them(tmp_path: Path) -> None:
    def texts(value: str) -> tuple[str, ...]:
        text = f"version = 1\n{PROMPT}{ENTRY}[criterion.parameters]\nkinds = {value}\n"
        return load(tmp_path, text).criteria[0].texts("kinds")

    assert texts('["training"]') == ("training",)
    for value in ('"training"', "[1]", '[" "]', "{}"):
        with pytest.raises(DefinitionError, match=r"parameters\.kinds = .* is no list of texts"):
            texts(value)


def test_limits_of_a_proof_are_read_and_have_their_usual_values(tmp_path: Path) -> None:
    assert load(tmp_path).proof == ProofRules(Limit("<", 0.05), Limit("<", 0.2))
    assert load(tmp_path, f'{WHOLE}[proof]\nfalse_no_go = "<= 0.01"\n').proof == ProofRules(
        Limit("<=", 0.01), Limit("<", 0.2)
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('false_no_go = "1 %"', "proof.false_no_go: '1 %' is not a limit"),
        ('misses = "< 0.1"', "unknown key 'misses'"),
        ("inconclusive = 0.2", "proof.inconclusive: 0.2 is a number"),
    ],
)
def test_a_limit_of_a_proof_that_is_none_is_refused(tmp_path: Path, line: str, said: str) -> None:
    assert said in refused(tmp_path, f"{WHOLE}[proof]\n{line}\n")

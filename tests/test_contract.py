"""The contract: how an application is asked over HTTP, and where its answers hold what."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gonogo.contract import Contract, found_at, read_contract
from gonogo.documents import Section, read_toml
from gonogo.errors import DefinitionError, TargetError
from gonogo.model import Json, Message, Prompt

WHOLE = """
create = "POST /tickets"
delete = "DELETE /tickets/{post}"
preview = "GET /tickets/{post}/{step}/prompt"
health = ["/up"]
token_env = "HELPDESK_TOKEN"

[bodies]
create = { subject = "about {title}", values = "{inputs}", tags = ["gonogo", "{step}"], open = true }

[answers]
post = "ticket.number"

[errors]
cause = "problem.why"

[inputs]
idea = "ticket_idea"
"""


def read(tmp_path: Path, text: str) -> Contract:
    path = tmp_path / "target.toml"
    path.write_text(text, encoding="utf-8")
    return read_contract(Section.of(read_toml(path)))


def test_a_contract_says_where_and_how_an_application_is_asked(tmp_path: Path) -> None:
    contract = read(tmp_path, WHOLE)
    assert contract.call("preview").at(post="a/b", step="x y") == ("GET", "/tickets/a%2Fb/x%20y/prompt", None)
    method, path, body = contract.call("create").at({"a": "{title}"}, title="roads", step="facts")
    assert (method, path) == ("POST", "/tickets")
    assert body == {"subject": "about roads", "values": {"a": "{title}"}, "tags": ["gonogo", "facts"], "open": True}
    assert contract.find("post", {"ticket": {"number": 7}}) == 7
    assert contract.find("run", {"run_id": 3}) == 3, "what is not written is where it usually is"
    assert contract.named({"idea": "x", "other": "y"}) == {"ticket_idea": "x", "other": "y"}
    assert contract.token_env == "HELPDESK_TOKEN"


def test_the_authorities_lie_beside_the_file_whatever_folder_they_are_used_in(tmp_path: Path) -> None:
    assert read(tmp_path, f'ca = "keys/ca.pem"\n{WHOLE}').ca == str(tmp_path / "keys" / "ca.pem")
    assert read(tmp_path, f'ca = "/etc/ca.pem"\n{WHOLE}').ca == "/etc/ca.pem"
    assert read(tmp_path, WHOLE).ca == ""


def test_a_contract_goes_over_the_wire(tmp_path: Path) -> None:
    contract = read(tmp_path, WHOLE)
    assert Contract.from_json(json.loads(json.dumps(contract.as_json()))) == contract


def test_what_an_application_is_not_asked_for_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"does not say how to preview inputs; add preview_inputs to \[target\]"):
        read(tmp_path, WHOLE).call("preview_inputs")


@pytest.mark.parametrize(
    ("shown", "prompt"),
    [
        ("Find facts.", Prompt.of("Find facts.")),
        (
            [{"role": "system", "content": "You."}, {"content": "Go."}],
            Prompt((Message("system", "You."), Message("user", "Go."))),
        ),
    ],
)
def test_a_prompt_is_a_text_or_messages(shown: Json, prompt: Prompt) -> None:
    assert Contract({}).prompt({"prompt": shown}) == prompt


@pytest.mark.parametrize("shown", [None, 5, [], ["x"], [{"role": "user"}], {"text": "x"}])
def test_what_is_no_prompt_is_refused(shown: Json) -> None:
    with pytest.raises(ValueError, match="there is no prompt at 'prompt' of the preview"):
        Contract({}).prompt({"prompt": shown})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"error": {"code": "x", "message": "m"}}, {"code": "x", "message": "m", "cause": None}),
        ({"error": "broken", "problem": {"why": "tired"}}, {"message": "broken", "cause": "tired"}),
        ({}, {"cause": None}),
        ([], {"cause": None}),
    ],
)
def test_an_error_is_told_by_the_names_that_suites_know(answer: Json, error: dict[str, Json]) -> None:
    assert Contract({}, errors={"cause": "problem.why"}).error(answer) == error


@pytest.mark.parametrize(
    ("path", "found"), [("a", {"b": [1]}), ("a.b", [1]), ("a.b.c", None), ("x", None), ("a.x", None)]
)
def test_a_place_is_a_path_of_keys(path: str, found: Json) -> None:
    assert found_at(path, {"a": {"b": [1]}}) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no preview; write preview ="),
        (
            'preview = "POST /p"\nprevue = "GET /"',
            "unknown key 'prevue' (did you mean 'preview'?); known are answers, bodies, ca, create",
        ),
        ('preview = "/p"', "'/p' is not a call; write a method and a path"),
        ('preview = "FETCH /p"', "'FETCH /p' is not a call"),
        ('preview = "POST /p/{pots}"', "{pots} is not known; holes are after, "),
        ('preview = "POST /p/{post}"', "asks for a {post}, but create and delete do not both say"),
        ('preview = "POST /p"\n[bodies]\nrun = {}', "'run' is none of the calls that are written above"),
        ('preview = "POST /p"\n[answers]\npromt = "x"', "'promt' is not one of post, "),
        ('preview = "POST /p"\n[answers]\nprompt = 3', "prompt = 3 is not a text"),
        ('preview = "POST /p"\n[metric_names]\nslow = "x"', "'slow' is not one of fallbacks, "),
        ('preview = "POST /p"\ntoken_form = "Bearer"', "'Bearer' has no {token}"),
        ('preview = "POST /p"\ntimeout = 0', "0 lies outside 0.001 to 86400"),
    ],
)
def test_what_is_no_contract_is_refused_with_its_place_and_a_remedy(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(said)):
        read(tmp_path, text)


def test_sections_are_read_where_criteria_toml_names_a_place_for_them(tmp_path: Path) -> None:
    shown: Json = {"sections": {"TASK": "write"}}
    assert read(tmp_path, WHOLE).sections(shown) == {}, "what stands there in another application may be anything"
    named = read(tmp_path, WHOLE.replace("[answers]", "[answers]\nsections = 'sections'"))
    assert named.sections(shown) == {"TASK": "write"}
    assert named.sections({"sections": {}}) == {}
    others: list[Json] = [{}, {"sections": ["TASK"]}, {"sections": {"TASK": 1}}]
    for other in others:
        with pytest.raises(ValueError, match="there are no sections at 'sections' of the preview"):
            named.sections(other)


def test_warnings_are_read_where_criteria_toml_names_a_place_for_them(tmp_path: Path) -> None:
    assert read(tmp_path, WHOLE).warnings({"odd": ["long"]}) is None
    named = read(tmp_path, WHOLE.replace("[answers]", "[answers]\nwarnings = 'odd'"))
    assert named.warnings({"odd": ["long"]}) == ("long",)
    assert named.warnings({"odd": []}) == ()
    others: list[Json] = [{}, {"odd": "long"}, {"odd": [1]}]
    for other in others:
        with pytest.raises(ValueError, match="there are no warnings at 'odd' of the preview"):
            named.warnings(other)

"""How an application is asked over HTTP: the section ``[target]`` of criteria.toml, for in-process and live targets alike.

A call is written as ``"POST /api/posts/{post}/steps/{step}/run"``; where something stands in an answer is a path of keys
such as ``fallback.reason``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from gonogo.documents import Section
from gonogo.errors import TargetError
from gonogo.model import Json, Message, Prompt

__all__ = ["CALLS", "COUNTERS", "Call", "Contract", "found_at", "read_contract"]

# What an application may be asked. Only a preview must be there, of a post or of inputs alone.
CALLS = (
    "create",
    "read",
    "delete",
    "list",
    "preview",
    "preview_inputs",
    "run",
    "record",
    "version",
    "metrics",
)
_ANSWERS: Mapping[str, str] = MappingProxyType(
    {
        "post": "id",
        "posts": "posts",
        "title": "title",
        "fields": "fields",
        "prompt": "prompt",
        "fallback": "fallback.reason",
        # a preview need not tell these, and what stands there in another application may be anything
        "sections": "",
        "warnings": "",
        "output": "output",
        "error": "error",
        "run": "run_id",
        "failed_run": "error.run_id",
        "record_status": "status",
        "record_prompt": "prompt",
        "record_reply": "reply",
        "record_error": "error.code",
        "version": "version",
        "python": "python",
        "dependencies": "dependencies",
    }
)
COUNTERS = ("fallbacks", "runs", "failed_runs", "unexpected")
_METRICS = (*COUNTERS, "construction", "errors", "templates", "memory", "release")
_CALL = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/\S*)")
_HOLE = re.compile(r"\{(\w+)\}")
_HOLES = frozenset({"post", "step", "run", "title", "after", "inputs", "name"})


@dataclass(frozen=True, slots=True)
class Call:
    """A method, a path with holes (``{post}``), and the body that goes with it, with holes in its texts; none for none."""

    method: str
    path: str
    body: Json = None

    def at(self, inputs: Mapping[str, str] | None = None, **values: object) -> tuple[str, str, Json]:
        """Method, path and body with every hole filled. A body's text that is ``{inputs}`` becomes an object."""

        def path(hole: re.Match[str]) -> str:
            return quote(str(values[hole[1]]), safe="")

        def filled(value: Json) -> Json:
            if isinstance(value, dict):
                return {key: filled(one) for key, one in value.items()}
            if isinstance(value, list):
                return [filled(one) for one in value]
            if value == "{inputs}":
                return dict(inputs or {})
            return _HOLE.sub(lambda hole: str(values[hole[1]]), value) if isinstance(value, str) else value

        return self.method, _HOLE.sub(path, self.path), filled(self.body)


@dataclass(frozen=True)
class Contract:
    """What an application answers where.

    Attributes:
        calls: name (one of ``CALLS``) -> call.
        health: paths that answer 200 where all is well.
        answers: name -> where it stands in an answer.
        errors: what an error tells (``code``, ``cause`` …) -> where it stands; what is not named stands in the error itself.
        metrics: name -> metric. ``construction`` is a histogram in seconds with the label ``step``; ``COUNTERS`` count from the
            start of the service; ``errors`` counts by ``kind``, ``templates`` by ``template``; ``memory`` is a gauge in bytes, and
            the label ``version`` of ``release`` tells which release counts.
        inputs: input field -> the application's own name of it, where that is another.
        succeeded: the word by which a run's record says that it succeeded.
        timeout: seconds for one answer.
        token_env: the environment variable that holds the token; empty: no authentication.
        token_header, token_form: the header that carries it, and how.
        ca: file of the authorities that a certificate is checked against, instead of the usual ones; empty: the usual ones.
        version_header: the header of every answer that tells which release gave it; empty: ``version`` is asked again and again.
        stub_token_env: the environment variable that holds the token of the stub's control API; empty: it asks for none.
    """

    calls: Mapping[str, Call]
    health: tuple[str, ...] = ()
    answers: Mapping[str, str] = field(default_factory=lambda: _ANSWERS)
    errors: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    succeeded: str = "succeeded"
    timeout: float = 30.0
    token_env: str = ""
    token_header: str = "Authorization"
    token_form: str = "Bearer {token}"
    ca: str = ""
    stub_token_env: str = ""
    version_header: str = ""

    def call(self, name: str) -> Call:
        """The call of this name.

        Raises:
            TargetError: the contract has none.
        """
        if name not in self.calls:
            raise TargetError(f"criteria.toml does not say how to {name.replace('_', ' ')}; add {name} to [target]")
        return self.calls[name]

    def find(self, name: str, answer: Json) -> Json:
        """What stands in an answer at the place of this name; none where nothing does."""
        return found_at(self.answers[name], answer)

    def error(self, answer: Json) -> dict[str, Json]:
        """What an error tells, by the names that suites know."""
        told = self.find("error", answer)
        known = dict(told) if isinstance(told, dict) else {} if told is None else {"message": told}
        return known | {name: found_at(path, answer) for name, path in self.errors.items()}

    def prompt(self, answer: Json, name: str = "prompt") -> Prompt:
        """The prompt that a preview shows, or a record (``record_prompt``): a text, or messages with ``role`` and ``content``.

        Raises:
            ValueError: there is none.
        """
        shown = self.find(name, answer)
        if isinstance(shown, str):
            return Prompt.of(shown)
        messages = [one for one in shown if isinstance(one, dict)] if isinstance(shown, list) else []
        if messages and all("content" in one for one in messages):
            return Prompt(tuple(Message(str(one.get("role", "user")), str(one["content"])) for one in messages))
        what = "preview" if name == "prompt" else "record"
        raise ValueError(f"there is no prompt at {self.answers[name]!r} of the {what}, but {shown!r:.80}")

    def sections(self, answer: Json) -> Mapping[str, str]:
        """What a preview says that the sections of its prompt are; empty where criteria.toml names no place for them.

        Raises:
            ValueError: there is something else.
        """
        if not self.answers["sections"]:
            return MappingProxyType({})
        shown = self.find("sections", answer)
        if not isinstance(shown, dict) or not all(isinstance(text, str) for text in shown.values()):
            raise ValueError(f"there are no sections at {self.answers['sections']!r} of the preview, but {shown!r:.80}")
        return MappingProxyType({name: str(text) for name, text in shown.items()})

    def warnings(self, answer: Json) -> tuple[str, ...] | None:
        """What a preview says is odd about the inputs; none where criteria.toml names no place for it.

        Raises:
            ValueError: there is something else.
        """
        if not self.answers["warnings"]:
            return None
        shown = self.find("warnings", answer)
        if not isinstance(shown, list) or not all(isinstance(text, str) for text in shown):
            raise ValueError(f"there are no warnings at {self.answers['warnings']!r} of the preview, but {shown!r:.80}")
        return tuple(map(str, shown))

    def named(self, inputs: Mapping[str, str]) -> dict[str, str]:
        """Inputs by the names that the application has for them."""
        return {self.inputs.get(name, name): value for name, value in inputs.items()}

    def as_json(self) -> dict[str, Any]:
        """Plain data, for the wire."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "calls"}
        plain = {name: dict(one) if isinstance(one, Mapping) else one for name, one in fields.items()}
        return {**plain, "calls": {name: asdict(call) for name, call in self.calls.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Contract:
        """The contract that ``as_json`` wrote."""
        calls = {name: Call(**call) for name, call in data["calls"].items()}
        return cls(**{**data, "calls": calls, "health": tuple(data["health"])})


def found_at(path: str, answer: Json) -> Json:
    """What stands at a path of keys; none where nothing does."""
    for key in path.split("."):
        if not isinstance(answer, dict) or key not in answer:
            return None
        answer = answer[key]
    return answer


def read_contract(section: Section) -> Contract:
    """The contract of a section ``[target]``.

    Raises:
        DefinitionError: something is missing or none of the known words.
    """
    section.asked.update((*CALLS, "ca", "token_env", "stub_token_env", "version_header"))
    bodies = section.mapping("bodies", default={})
    calls = {name: _call(section, name, bodies) for name in CALLS if section.has(name)}
    for name in bodies:
        if name not in calls:
            section.fail(
                "bodies", f"{name!r} is none of the calls that are written above; write one of {', '.join(calls)}"
            )
    if not {"preview", "preview_inputs"} & calls.keys():
        section.fail(None, "there is no preview; write preview = 'POST /…/{post}/…' or preview_inputs = 'POST /…'")
    if "preview" in calls and "{post}" in calls["preview"].path and not {"create", "delete"} <= calls.keys():
        section.fail(
            "preview", "it asks for a {post}, but create and delete do not both say how to make and remove one"
        )
    contract = Contract(
        calls=calls,
        health=section.texts("health", default=()),
        answers={**_ANSWERS, **_texts(section, "answers", _ANSWERS)},
        errors=_texts(section, "errors", None),
        metrics=_texts(section, "metric_names", _METRICS),
        inputs=_texts(section, "inputs", None),
        succeeded=section.text("succeeded", default="succeeded"),
        timeout=section.number("timeout", default=30.0, low=0.001, high=86400.0),
        token_env=section.text("token_env") if section.has("token_env") else "",
        token_header=section.text("token_header", default="Authorization"),
        token_form=section.text("token_form", default="Bearer {token}"),
        version_header=section.text("version_header") if section.has("version_header") else "",
        stub_token_env=section.text("stub_token_env") if section.has("stub_token_env") else "",
        ca=_beside(section, "ca", example="certificates/ca.pem") if section.has("ca") else "",
    )
    if "{token}" not in contract.token_form:
        section.fail("token_form", f"{contract.token_form!r} has no {{token}}; write for example 'Bearer {{token}}'")
    section.finish()
    return contract


def _beside(section: Section, key: str, *, example: str) -> str:
    """A path that counts from the folder of the file, whatever folder it is used in."""
    return str((section.document.path.parent / section.text(key, example=example)).resolve())


def _call(section: Section, name: str, bodies: Mapping[str, Json]) -> Call:
    text = section.text(name, example="'POST /api/posts'")
    written = _CALL.fullmatch(text)
    if written is None:
        section.fail(name, f"{text!r} is not a call; write a method and a path such as 'POST /api/posts/{{post}}'")
    body = bodies.get(name)
    unknown = sorted(set(_HOLE.findall(f"{text} {body}")) - _HOLES)
    if unknown:
        section.fail(name, f"{{{unknown[0]}}} is not known; holes are {', '.join(sorted(_HOLES))}")
    return Call(written[1], written[2], body)


def _texts(section: Section, key: str, known: Mapping[str, str] | tuple[str, ...] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in section.mapping(key, default={}).items():
        if known is not None and name not in known:
            section.fail(key, f"{name!r} is not one of {', '.join(known)}")
        if not isinstance(value, str) or not value:
            section.fail(key, f"{name} = {value!r} is not a text; write {name} = 'a text'")
        found[name] = value
    return found

"""What a worker is made of, without a process: adapters by reference, faults at a seam, releases laid out as folders."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from worker_releases import STEP, write_release

from gonogo.errors import DefinitionError, TargetError
from gonogo.model import Case, Message, Prompt
from gonogo.project import Project, Release
from gonogo.targets.adapter import Run, WorkerContext, prompt_from_json, prompt_to_json
from gonogo.targets.constructor import FunctionAdapter
from gonogo.targets.faults import SECRET, ConstructorFault, broken_constructor
from gonogo.targets.http import WsgiTransport
from gonogo.targets.loading import load_function


@pytest.fixture(autouse=True)
def _forget_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gonogo_adapter", raising=False)


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("adapter.py:gone", ["AttributeError", "'gone'"]),
        ("nowhere.py:function", ["FileNotFoundError", "nowhere.py"]),
        ("bad.py:function", ["SyntaxError"]),
        ("adapter.py", ["ValueError"]),
        ("no.such.package:function", ["ModuleNotFoundError", "No module named 'no'"]),
        ("nonsense", ["ValueError"]),
        (".relative:function", ["TypeError"]),
    ],
)
def test_an_adapter_that_cannot_be_loaded_is_said_with_the_remedy(
    tmp_path: Path, reference: str, parts: list[str]
) -> None:
    write_release(tmp_path)
    (tmp_path / "bad.py").write_text("def function(:\n")
    reference = f"{tmp_path}/{reference}" if ".py" in reference else reference
    with pytest.raises(TargetError) as caught:
        load_function(reference, "the adapter", "a WorkerContext")
    said = str(caught.value)
    assert said.startswith(f"the adapter {reference!r} cannot be loaded (")
    assert said.endswith(
        "write 'file.py:function' or 'package.module:function', and see that its imports are installed"
    )
    for part in parts:
        assert part in said


def test_an_adapter_is_loaded_from_a_file_or_a_package(tmp_path: Path) -> None:
    write_release(tmp_path)
    assert load_function(f"{tmp_path}/adapter.py:function", "the adapter", "a WorkerContext").__name__ == "function"
    assert (
        load_function("gonogo.targets.constructor:FunctionAdapter", "the adapter", "a WorkerContext").__name__
        == FunctionAdapter.__name__
    )


def test_an_adapter_that_is_no_function_is_refused(tmp_path: Path) -> None:
    write_release(tmp_path)
    with pytest.raises(
        TargetError, match=r"adapter\.py:number' is 3; it must be a function that takes a WorkerContext"
    ):
        load_function(f"{tmp_path}/adapter.py:number", "the adapter", "a WorkerContext")


@dataclasses.dataclass(frozen=True)
class Constructed:
    text: str


class Named(NamedTuple):
    text: str


@pytest.fixture
def seam(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("application_of_this_test")
    module.build = lambda: Constructed("a whole prompt")  # type: ignore[attr-defined]  # made here
    module.named = lambda: Named("a whole prompt")  # type: ignore[attr-defined]  # made here
    module.plain = lambda: "a whole prompt"  # type: ignore[attr-defined]  # made here
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.mark.parametrize("fault", list(ConstructorFault))
@pytest.mark.parametrize("name", ["build", "named", "plain"])
def test_every_fault_changes_the_seam_and_leaves_it_as_it_was(
    seam: ModuleType, fault: ConstructorFault, name: str
) -> None:
    def outcome() -> object:
        try:
            found: Any = getattr(seam, name)()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the kinds of errors are what is told apart
            return type(error).__name__, SECRET in repr(error)
        return found.text if isinstance(found, Constructed | Named) else found

    before = getattr(seam, name)
    with broken_constructor(f"{seam.__name__}:{name}", fault, STEP):
        found = outcome()
    assert getattr(seam, name) is before
    if fault.value.startswith("raises"):
        assert isinstance(found, tuple)
        assert found[1], "what must not leak has to be in the exception"
    else:
        assert (
            found
            == {
                ConstructorFault.GONE: ("AttributeError", False),
                ConstructorFault.RETURNS_NONE: None,
                ConstructorFault.RETURNS_NOTHING: "",
                ConstructorFault.RETURNS_OTHER: {"prompt": SECRET},
                ConstructorFault.RETURNS_HALF: "a whole",
                ConstructorFault.RETURNS_GAP: "",
                ConstructorFault.RETURNS_DISORDER: "",
                ConstructorFault.RETURNS_TWICE: "a whole prompt\n\na whole prompt",
                ConstructorFault.RETURNS_NO_SECTIONS: SECRET,
            }[fault]
        )


FENCED = "CONTEXT:\nYou research.\n\nEach has a name.\n\nNamed.\n\nTASK:\nFind facts.\n\nRESPONSE:\nPlain.\n\nText.\n"
MARKED = (
    "# Role\nEach has a name. You research.\n# Letter\nIdea = Plain. Text.\n# Rules\nShort.\n# Answer\nText. Plain."
)


@pytest.mark.parametrize(
    ("fault", "prompt", "changed"),
    [
        (
            ConstructorFault.RETURNS_GAP,
            FENCED,
            "CONTEXT:\nYou research.\n\nEach has a name.\n\nNamed.\nRESPONSE:\nPlain.\n\nText.\n",
        ),
        (ConstructorFault.RETURNS_GAP, MARKED, "# Role\nEach has a name. You research.\n# Answer\nText. Plain."),
        (ConstructorFault.RETURNS_GAP, "# Role\nYou research.\n\n# Answer\n\nPlain.\n", "# Role\nYou research."),
        (ConstructorFault.RETURNS_GAP, "You research.\nFind facts.", "You research."),
        (
            ConstructorFault.RETURNS_DISORDER,
            FENCED,
            "RESPONSE:\nPlain.\n\nText.\n\n"
            "CONTEXT:\nYou research.\n\nEach has a name.\n\nNamed.\n\nTASK:\nFind facts.\n",
        ),
        (
            ConstructorFault.RETURNS_DISORDER,
            MARKED,
            "# Answer\nText. Plain.\n\n"
            "# Role\nEach has a name. You research.\n# Letter\nIdea = Plain. Text.\n# Rules\nShort.\n",
        ),
        (ConstructorFault.RETURNS_DISORDER, "You research.\nFind facts.", "Find facts.\n\nYou research.\n"),
    ],
)
def test_a_prompt_loses_a_section_or_its_order_whatever_the_grammar(
    monkeypatch: pytest.MonkeyPatch, seam: ModuleType, fault: ConstructorFault, prompt: str, changed: str
) -> None:
    monkeypatch.setattr(seam, "plain", lambda: prompt)
    with broken_constructor(f"{seam.__name__}:plain", fault, STEP):
        assert seam.plain() == changed


def test_no_fault_changes_nothing() -> None:
    with broken_constructor(None, None, STEP):
        pass


def test_the_seam_is_whole_again_also_when_the_block_fails(seam: ModuleType) -> None:
    before = seam.build
    with pytest.raises(KeyError), broken_constructor(f"{seam.__name__}:build", ConstructorFault.GONE, STEP):
        raise KeyError("x")
    assert seam.build is before


@pytest.mark.parametrize("reference", [None, "", "json", "json:gone", "no.such:thing", ".relative:x"])
def test_a_seam_that_leads_nowhere_is_said_with_the_remedy(reference: str | None) -> None:
    with (
        pytest.raises(
            TargetError, match=r"the adapter's seam .* leads nowhere \(.*\); write 'package\.module:function'"
        ),
        broken_constructor(reference, ConstructorFault.GONE, STEP),
    ):
        pass


def test_a_release_without_an_overlay_is_its_own_folder(tmp_path: Path) -> None:
    release = write_release(tmp_path)
    assert release.laid_out(tmp_path / "scratch") is release


def test_an_overlay_is_laid_over_a_copy_of_the_packages(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay" / "smallapp"
    overlay.mkdir(parents=True)
    (overlay / "constructor.py").write_text('MARK = "previous"\n')
    release = write_release(tmp_path / "tree", overlay=overlay.parent)
    (tmp_path / "tree" / "unrelated.py").write_text("")
    (tmp_path / "tree" / "smallapp" / "__pycache__").mkdir()
    laid = release.laid_out(tmp_path / "scratch")
    assert laid.tree == tmp_path / "scratch" / "release-2.0.0"
    assert laid.overlay is None
    assert (laid.tree / "smallapp" / "constructor.py").read_text() == 'MARK = "previous"\n'
    assert sorted(path.relative_to(laid.tree).as_posix() for path in laid.tree.rglob("*")) == [
        "smallapp",
        "smallapp/__init__.py",
        "smallapp/constructor.py",
    ]
    assert "candidate" in (tmp_path / "tree" / "smallapp" / "constructor.py").read_text(), "the tree stays as it is"


def test_a_package_or_an_overlay_that_is_not_there_is_said(tmp_path: Path) -> None:
    release = write_release(tmp_path)
    with pytest.raises(DefinitionError, match=r"release 2\.0\.0: there is no 'other' in .*; correct tree or packages"):
        dataclasses.replace(release, packages=("smallapp", "other")).laid_out(tmp_path / "scratch")
    with pytest.raises(DefinitionError, match=r"release 2\.0\.0: the overlay .*gone is no folder; correct the path"):
        dataclasses.replace(release, overlay=tmp_path / "gone").laid_out(tmp_path / "scratch")


def test_two_releases_of_one_version_can_be_laid_out_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "overlay").mkdir()
    release = write_release(tmp_path / "tree", overlay=tmp_path / "overlay")
    one, other = release.laid_out(tmp_path / "scratch"), release.laid_out(tmp_path / "scratch")
    assert one.tree.is_dir()
    assert other.tree.is_dir()


@pytest.mark.parametrize(("moment", "part"), [("tomorrow", "is no moment"), ("2026-01-31T09:00:00", "has no offset")])
def test_a_frozen_moment_that_is_none_is_refused(tmp_path: Path, moment: str, part: str) -> None:
    with pytest.raises(DefinitionError, match=rf"release 1: frozen_at = '{moment}' {part}"):
        Release("1", "a:b", tmp_path, frozen_at=moment)


def test_a_previous_release_is_taken_from_a_whole_tree_or_laid_over(tmp_path: Path) -> None:
    candidate = write_release(tmp_path / "tree")
    project = Project(tmp_path, candidate, None, tmp_path, tmp_path, tmp_path, tmp_path, tmp_path)
    write_release(tmp_path / "whole")
    (tmp_path / "part" / "smallapp").mkdir(parents=True)
    whole, part = project.with_baseline(tmp_path / "whole").baseline, project.with_baseline(tmp_path / "part").baseline
    assert whole is not None
    assert part is not None
    assert (whole.tree, whole.overlay) == (tmp_path / "whole", None)
    assert (part.tree, part.overlay) == (tmp_path / "tree", tmp_path / "part")
    with pytest.raises(
        DefinitionError, match=r"--gonogo-baseline .*gone: no such folder; give the folder that holds smallapp"
    ):
        project.with_baseline(tmp_path / "gone")


def test_a_prompt_survives_the_wire() -> None:
    prompt = Prompt((Message("system", "You."), Message("user", "half \ud83d")))
    assert prompt_from_json(prompt_to_json(prompt)) == prompt


def test_a_run_has_succeeded_when_it_names_no_error() -> None:
    run = Run(200, "x", None, {}, {}, 1, None, (), 0)
    assert run.succeeded
    assert not dataclasses.replace(run, status=502, error={"code": "x"}).succeeded
    assert not dataclasses.replace(run, status=500).succeeded, "an error page without an error body is no success"


def test_a_function_may_return_a_prompt_of_messages(tmp_path: Path) -> None:
    messages = Prompt((Message("system", "You."), Message("user", "Go.")))
    adapter = FunctionAdapter(WorkerContext(tmp_path, (STEP,), {}), lambda step, inputs: messages)
    case = Case("roads", "facts", {"idea": "x"})
    assert adapter.construct(case).text == "You.\n\nGo."
    assert adapter.constructor(case)() is messages


def test_a_wsgi_application_is_called_in_process() -> None:
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen.update(environ, body=environ["wsgi.input"].read())
        start_response("201 Created", [])
        return [b'{"id":', b" 7}"]

    answer = WsgiTransport(application)("POST", "/api/posts?x=1", {"title": "é"})
    assert (answer.status, answer.json()) == (201, {"id": 7})
    assert (seen["REQUEST_METHOD"], seen["PATH_INFO"], seen["QUERY_STRING"]) == ("POST", "/api/posts", "x=1")
    assert seen["body"] == b'{"title": "\\u00e9"}'
    assert seen["CONTENT_TYPE"] == "application/json"

"""A release of a few lines, written to a folder: whatever its input asks for, it does."""

from __future__ import annotations

from pathlib import Path

from gonogo.model import Case, FormatTemplate, InputField, Step
from gonogo.project import Release

STEP = Step(
    id="facts",
    name="Facts",
    stage="Planning",
    substage="Research",
    order=1,
    model="llama3.1:8b",
    parameters={},
    system_prompt="You research.",
    task_prompt="Find facts.",
    input_format=FormatTemplate("in", "In", "Named.", "input", {"type": "object"}, "Each has a name."),
    output_format=FormatTemplate("out", "Out", "Text.", "output", {"type": "string"}, "Plain."),
    inputs=(InputField("idea", "Idea"),),
    output_field="facts",
)

# the package of the release: its constructor is the seam in which faults are planted
PACKAGE = """
import os, socket, sys, threading, time
from dataclasses import dataclass

MARK = "candidate"

@dataclass(frozen=True)
class Constructed:
    text: str

def construct_prompt(step, inputs):
    wish = inputs.get("idea", "")
    if wish == "raise":
        raise KeyError("no such thing")
    if wish == "exit":
        os._exit(7)
    if wish == "sys.exit":
        sys.exit("the release gives up")
    if wish == "hang":
        time.sleep(60)
    if wish == "connect":
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    if wish == "look up":
        socket.getaddrinfo("collector.example", 80)
    if wish == "swallow":
        try:
            socket.create_connection(("192.0.2.1", 80), timeout=1)
        except Exception:
            pass
    if wish == "datagram":
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"x", ("127.0.0.1", 9))
        except Exception:
            pass
    if wish == "swallowed requests":
        import requests
        try:
            requests.post("http://192.0.2.1/collect", json={}, timeout=1)
        except Exception:
            pass
    if wish == "allowed":
        socket.getaddrinfo("127.0.0.1", 80)
    if wish == "environment":
        return Constructed(os.environ.get("PYTHONHASHSEED", "") + " " + os.environ.get("TZ", ""))
    if wish.startswith("variable "):
        return Constructed(os.environ.get(wish.removeprefix("variable "), ""))
    if wish == "date":
        import datetime
        return Constructed(datetime.datetime.now(datetime.timezone.utc).isoformat())
    if wish == "print":
        print("to standard output", flush=True)
        print("to standard error", file=sys.stderr, flush=True)
    if wish == "surrogate":
        return Constructed("half \\ud83d")
    return Constructed(f"{MARK}: {step.task_prompt} {wish}")
"""

ADAPTER = '''
from gonogo.model import Ability, Prompt
from gonogo.targets.adapter import Built, Run
from gonogo.targets.constructor import FunctionAdapter

def function(context):
    """The release as a function alone."""
    from smallapp import constructor
    return FunctionAdapter(context, lambda step, inputs: constructor.construct_prompt(step, inputs).text, facts={"mark": constructor.MARK})

def broken(context):
    raise RuntimeError("no database")

def disconnected(context):
    import socket
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    except Exception as error:
        raise RuntimeError("no licence server") from error

def quietly_connecting(context):
    import socket
    try:
        socket.create_connection(("127.0.0.1", 9), timeout=1)
    except Exception:
        pass
    return function(context)

def elsewhere(context):
    """The release's package comes from another place."""
    import sys
    sys.path.insert(0, context.options["elsewhere"])
    import smallapp
    return function(context)

number = 3

class Whole(FunctionAdapter):
    """With a run: asks the model through requests; on a failing constructor a simple prompt."""

    def run(self, case, *, watched):
        import requests
        from smallapp import constructor
        step, fallback = self._steps[case.step], None
        try:
            prompt = constructor.construct_prompt(step, case.inputs).text
            if not prompt:
                raise ValueError("empty")
        except (Exception, SystemExit) as error:
            prompt, fallback = step.task_prompt, type(error).__name__
        if case.inputs.get("idea") == "run raises":
            raise OSError("disk full")
        if case.inputs.get("idea") == "no request":
            return Run(200, None, None, {}, {}, 0, fallback, 0, 0)
        try:
            answer = requests.post("http://127.0.0.1:11434/api/generate", json={"model": step.model, "prompt": prompt, "stream": False}, timeout=1)
            answer.raise_for_status()
            text = answer.json()["response"]
            if not text:
                raise ValueError("empty reply")
            text.encode("utf-8")
        except Exception as error:
            return Run(502, None, {"code": type(error).__name__}, {}, {}, 1, fallback, 0, 0)
        return Run(200, text, None, {"a": "1"}, {"a": "2"}, 1, fallback, 0, 0)

    def runner(self, case):
        return lambda: self.run(case, watched=False)

    def describe(self):
        import socket
        if self.facts.get("connects"):
            socket.create_connection(("192.0.2.1", 80), timeout=1)
        return self.facts

def whole(context):
    from smallapp import constructor
    return Whole(
        context, lambda step, inputs: constructor.construct_prompt(step, inputs).text, facts=dict(context.options),
        abilities=frozenset(Ability), seam="smallapp.constructor:construct_prompt",
    )

def seamless(context):
    adapter = whole(context)
    adapter.seam = context.options.get("seam")
    return adapter
'''


def write_release(folder: Path, adapter: str = "function", **changes: object) -> Release:
    """A release in ``folder`` whose adapter is the function of that name."""
    package = folder / "smallapp"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "constructor.py").write_text(PACKAGE)
    (folder / "adapter.py").write_text(ADAPTER)
    values = {"packages": ("smallapp",), **changes}
    return Release("2.0.0", f"{folder / 'adapter.py'}:{adapter}", folder, **values)  # type: ignore[arg-type]  # of Release


def wish(text: str, case_id: str = "") -> Case:
    """A case that asks the release for something."""
    return Case(case_id or text.replace(" ", "-").replace(".", "-") or "empty", "facts", {"idea": text})

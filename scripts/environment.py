"""Make .venv hold this project with some of its extras, at the versions of constraints.txt.

    python3 scripts/environment.py app test

Where it already does, nothing happens (about 0.1 s). It is made anew where it was made by another Python, where the
clone has been moved, and where it no longer starts or was left half-made; what merely changed is brought up to date.
Extras that are there stay there.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "gonogo-environment.json"
CONSTRAINTS = ROOT / "constraints.txt"
PYPROJECT = ROOT / "pyproject.toml"
# The pip that comes with Python 3.11 needs more than twice as long for the rest as a new one does, and the setuptools that
# comes with it builds no wheel of what is published as source alone.
_TOOLS = ("pip", "hatchling", "editables", "setuptools")
_INTERPRETER = "import pip, sys; print(*sys.version_info[:3], sep='.', end=' in '); print(sys.base_prefix)"


class EnvironmentProblem(Exception):
    """The environment cannot be made; the message says what to do."""


@dataclass(frozen=True)
class Stamp:
    """What .venv was made of: a hash over what is asked for, the extras, and the folders that pip left."""

    wanted: str
    extras: tuple[str, ...]
    installed: tuple[str, ...]

    @classmethod
    def read(cls) -> Stamp | None:
        """The stamp of a finished environment; None where there is none."""
        try:
            kept = json.loads(STAMP.read_text(encoding="utf-8"))
            return cls(kept["wanted"], tuple(kept["extras"]), tuple(kept["installed"]))
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None


def main(extras: Sequence[str]) -> int:
    """Prepare the environment; 0 when it is ready, 1 (and a line that says why) when it cannot be."""
    try:
        with _one_at_a_time():
            prepare(extras)
    except EnvironmentProblem as problem:
        sys.stderr.write(f"environment: {problem}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("environment: interrupted; the next call starts anew\n")
        return 1
    return 0


def prepare(extras: Sequence[str]) -> None:
    """Bring .venv to what is asked for.

    Raises EnvironmentProblem for an unknown extra, a Python without venv, and where pip fails.
    """
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
    known = project["project"]["optional-dependencies"]
    for extra in extras:
        if extra not in known:
            raise EnvironmentProblem(f"{extra!r} is not an extra of pyproject.toml; name one of {', '.join(known)}")
    wanted = _hash(project)
    stamp = Stamp.read()
    reason = _unsound(stamp)
    if reason is not None:
        _make(reason)
        stamp = None
    elif stamp and stamp.wanted == wanted and {*extras} <= {*stamp.extras} and {*stamp.installed} <= {*_installed()}:
        return
    _install(wanted, sorted({*extras, *(stamp.extras if stamp else ())} & known.keys()))


def _hash(project: dict[str, object]) -> str:
    """Over what decides what is installed: settings of linters in pyproject.toml do not."""
    parts = json.dumps([project["project"], project["build-system"]], sort_keys=True), CONSTRAINTS.read_text("utf-8")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _unsound(stamp: Stamp | None) -> str | None:
    """Why .venv cannot be used as it is; None where it can be."""
    if not VENV.exists():
        return "not there yet"
    if stamp is None and STAMP.exists():
        return "left half-made"
    activate = VENV / "bin" / "activate"
    text = activate.read_text(encoding="utf-8") if activate.is_file() else ""
    if f'VIRTUAL_ENV="{VENV}"' not in text and f"VIRTUAL_ENV={shlex.quote(str(VENV))}" not in text:
        return "moved, or not a virtual environment"
    here = f"{'.'.join(map(str, sys.version_info[:3]))} in {sys.base_prefix}"
    there = _output(str(PYTHON), "-I", "-c", _INTERPRETER)
    if there is None:
        return "does not start"
    return None if there == here else f"was Python {there}"


def _make(reason: str) -> None:
    """A new, empty environment in the place of whatever lies there."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise EnvironmentProblem(
            f"{sys.executable} has no venv and ensurepip; install them "
            f"(Debian and Ubuntu: apt-get install python3-venv) or name another Python: make PYTHON=..."
        )
    version = ".".join(map(str, sys.version_info[:3]))
    _say(f"making .venv with Python {version} ({reason})")
    if VENV.is_symlink() or VENV.is_file():
        raise EnvironmentProblem(f"{VENV} is not a folder; move it away")
    _run(
        sys.executable, "-m", "venv", "--clear", str(VENV), failed=f"python -m venv failed; remove {VENV} and try again"
    )


def _install(wanted: str, extras: Sequence[str]) -> None:
    _say(f"installing gonogo[{','.join(extras)}] into .venv")
    # From here to the end an interruption leaves a stamp that cannot be read: the next call starts anew.
    STAMP.write_text("unfinished\n", encoding="utf-8")
    # Python compiles what it imports when it first does; compiling everything here costs more than all the rest.
    pip = [str(PYTHON), "-m", "pip", "install", "-qq", "--no-input", "--no-compile", "--disable-pip-version-check"]
    pip += ["--constraint", str(CONSTRAINTS)]
    failed = "pip failed (above); without a network or an index it cannot work, otherwise try again"
    _run(*pip, *_TOOLS, failed=failed)
    _run(*pip, "--no-build-isolation", "--editable", f".[{','.join(extras)}]", failed=failed)
    stamp = Stamp(wanted, tuple(extras), tuple(_installed()))
    beside = STAMP.with_suffix(".new")
    beside.write_text(json.dumps(asdict(stamp), indent=1) + "\n", encoding="utf-8")
    beside.replace(STAMP)


def _installed() -> list[str]:
    """The folders, one per installed package, that name package and version."""
    return sorted(path.name for path in VENV.glob("lib/python*/site-packages/*.dist-info"))


def _output(*command: str) -> str | None:
    """What a command prints, without white space at its ends; None where it fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _run(*command: str, failed: str) -> None:
    """Run a command in the root of the clone; what it prints is printed."""
    try:
        status = subprocess.run(command, stdin=subprocess.DEVNULL, cwd=ROOT, check=False).returncode
    except OSError as error:
        raise EnvironmentProblem(f"{failed} ({error})") from error
    if status:
        raise EnvironmentProblem(failed)


def _say(what: str) -> None:
    sys.stdout.write(f"environment: {what}\n")
    sys.stdout.flush()


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep two calls from installing into each other; the lock goes with the process."""
    with CONSTRAINTS.open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

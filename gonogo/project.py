"""What is judged: the wiring that a conftest.py returns from ``pytest_gonogo_project``."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from gonogo.errors import DefinitionError
from gonogo.model import Json
from gonogo.planting import MUTANT, NOTHING, find_defect

__all__ = ["Project", "Release", "Service", "find_project", "is_project", "read_facts"]


@dataclass(frozen=True)
class Service:
    """A running deployment: its address, and whether only its previews may be used, which write nothing.

    ``version`` is what it told of itself when the run began, or none while nobody has asked. ``describe_only``: it is asked
    for what it tells of itself, and for no prompts.
    """

    url: str
    read_only: bool = False
    version: str | None = None
    describe_only: bool = False


@dataclass(frozen=True)
class Release:
    """One release of the application, as a release worker opens it.

    Attributes:
        version: what people call it; also the folder of its recordings.
        adapter: ``file.py:function`` or ``package.module:function``; the function takes a ``WorkerContext`` and returns an
            ``Adapter``.
        tree: the folder that holds the release's packages; put first on the worker's path.
        packages: the packages and single modules (``letters.py``) that must come from this release and from nowhere else.
            Their files are the code that a run was about.
        overlay: files laid over a copy of the packages, or none.
        facts: what the release said of itself when it was the newest (``gonogo describe``, JSON), or none. An overlay shares
            most of its code with the release that it is compared with, and would change its mind together with it.
        options: plain data for the adapter.
        network: hosts that the release may reach besides its stub, such as a database's.
        stub: who answers for its model: ``requests`` (the stub inside its worker, for clients that are built on that
            library), ``wire`` (a stub that serves HTTP, for any client; ``WorkerContext.model_url`` says where), the URL of
            a stub that serves already, or ``none`` (a real model).
        service: the running deployment that is asked instead of the files here, or none.
        frozen_at: the moment (ISO 8601, with its offset) at which the release's clock stands still, or none. For applications
            that put the date into prompts; measured time is not touched by it.
        planted: the defect of ``gonogo.planting`` that is planted in it on purpose; empty for none.
    """

    version: str
    adapter: str
    tree: Path
    packages: tuple[str, ...] = ()
    overlay: Path | None = None
    facts: Path | None = None
    options: Mapping[str, Json] = field(default_factory=dict)
    network: tuple[str, ...] = ()
    frozen_at: str | None = None
    stub: str = "requests"
    service: Service | None = None
    planted: str = ""

    def __post_init__(self) -> None:
        """Refuse a stub, a moment and a defect that are none."""
        if self.planted not in ("", NOTHING, MUTANT):
            find_defect(self.planted)
        if self.stub not in ("requests", "wire", "none") and not self.stub.startswith(("http://", "https://")):
            raise DefinitionError(
                f"release {self.version}: stub = {self.stub!r} is none; write 'requests', 'wire', 'none' or a URL"
            )
        if self.frozen_at is not None:
            try:
                moment = datetime.fromisoformat(self.frozen_at)
            except ValueError as error:
                raise DefinitionError(
                    f"release {self.version}: frozen_at = {self.frozen_at!r} is no moment; write one like 2026-01-31T09:00:00+00:00"
                ) from error
            if moment.tzinfo is None:
                raise DefinitionError(
                    f"release {self.version}: frozen_at = {self.frozen_at!r} has no offset; add one such as +00:00"
                )

    def laid_out(self, scratch: Path) -> Release:
        """This release as a plain folder: itself, or a copy of its packages with the overlay laid over it.

        Raises:
            DefinitionError: a package or the overlay is not there.
        """
        for package in self.packages:
            if not (self.tree / package).exists():
                raise DefinitionError(
                    f"release {self.version}: there is no {package!r} in {self.tree}; correct tree or packages"
                )
        if self.overlay is None:
            return self
        if not self.overlay.is_dir():
            raise DefinitionError(f"release {self.version}: the overlay {self.overlay} is no folder; correct the path")
        tree = scratch / f"release-{self.version}"
        try:
            tree.mkdir(parents=True)
        except FileExistsError:  # another release of this version lies there
            tree = Path(tempfile.mkdtemp(dir=tree.parent, prefix=f"{tree.name}-"))
        self.copied_to(tree)
        return replace(self, tree=tree, overlay=None)

    def copied_to(self, tree: Path) -> None:
        """Copy the packages and modules into a folder, and lay the overlay over them."""
        ignore = shutil.ignore_patterns("__pycache__")
        tree.mkdir(parents=True, exist_ok=True)
        for package in self.packages:
            source = self.tree / package
            if source.is_file():
                shutil.copy2(source, tree / package)
            else:
                shutil.copytree(source, tree / package, ignore=ignore, dirs_exist_ok=True)
        if self.overlay is not None:
            shutil.copytree(self.overlay, tree, dirs_exist_ok=True, ignore=ignore)


def read_facts(path: Path) -> dict[str, Json]:
    """What ``gonogo describe`` wrote.

    Raises:
        DefinitionError: the file is not there, or holds something else.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DefinitionError(
            f"{path}: not the facts of a release ({error}); write them with gonogo describe"
        ) from error
    if not isinstance(facts, dict):
        raise DefinitionError(
            f"{path}: holds {facts!r:.40}, not the facts of a release; write them with gonogo describe"
        )
    return facts


@dataclass(frozen=True)
class Project:
    """A candidate, the release before it, and the files that say what is replayed and what is asked.

    ``stage``: the function that opens a deployment of one's own on which releases are swapped (``gonogo.targets.stage``), as
    ``file.py:function`` or ``package.module:function``; empty where nothing can be rehearsed.
    """

    root: Path
    candidate: Release
    baseline: Release | None
    criteria: Path
    workflows: Path
    cases: Path
    recordings: Path
    reports: Path
    stage: str = ""
    signoffs: Path | None = None

    @property
    def signoffs_file(self) -> Path:
        """Where sign-offs and complaints stand: ``signoffs``, or signoffs.toml beside the criteria."""
        return self.signoffs or self.criteria.with_name("signoffs.toml")

    @property
    def newest_proof(self) -> Path:
        """Where ``gonogo prove`` writes what it has shown of the gate, and runs find it."""
        return self.reports / "proof.json"

    def recordings_of(self, release: Release) -> Path:
        """The folder of a release's recordings."""
        return self.recordings / release.version

    def with_service(self, service: Service, stub: str | None) -> Project:
        """The same project with a running deployment as its candidate; ``stub`` is the URL of the stub that it asks."""
        live = replace(
            self.candidate,
            adapter="gonogo.targets.live:open_live",
            packages=(),
            overlay=None,
            options={},
            frozen_at=None,
            stub=stub or "none",
            service=service,
        )
        return replace(self, candidate=live, stage="")  # what is live is not for rehearsing

    def with_planted(self, planted: str) -> Project:
        """The same project with a defect in its candidate, and in nothing else.

        Raises:
            DefinitionError: there is no such defect.
        """
        if planted not in ("", NOTHING):
            find_defect(planted)
        return replace(self, candidate=replace(self.candidate, planted=planted))

    def with_mutant(self, tree: Path) -> Project:
        """The same project with its candidate taken from a folder, where its source was changed on purpose.

        Raises:
            DefinitionError: the folder does not hold the candidate's packages.
        """
        missing = [one for one in self.candidate.packages if not (tree / one).exists()]
        if missing or not self.candidate.packages:
            raise DefinitionError(
                f"--gonogo-mutant {tree}: does not hold the candidate's packages ({', '.join(missing) or 'it names none'}); "
                "the option is gonogo's own, see gonogo prove --mutants"
            )
        return replace(self, candidate=replace(self.candidate, tree=tree, overlay=None, planted=MUTANT), stage="")

    def with_baseline(self, tree: Path) -> Project:
        """The same project with the previous release taken from a folder that holds its packages.

        Raises:
            DefinitionError: the folder does not hold them.
        """
        wanted = self.baseline or self.candidate
        if not tree.is_dir():
            raise DefinitionError(
                f"--gonogo-baseline {tree}: no such folder; give the folder that holds {', '.join(wanted.packages)}"
            )
        # what is known of the release that conftest.py names need not hold for another one
        if all((tree / package / "__init__.py").is_file() for package in wanted.packages):
            return replace(self, baseline=replace(wanted, tree=tree, overlay=None, facts=None, planted=""))
        return replace(self, baseline=replace(wanted, overlay=tree, facts=None, planted=""))


def is_project(folder: Path) -> bool:
    """Whether the conftest.py of a folder describes a project, as far as can be seen without running it."""
    path = folder / "conftest.py"
    return path.is_file() and "pytest_gonogo_project" in path.read_text(encoding="utf-8", errors="replace")


def find_project(folder: Path) -> Project:
    """The project that the conftest.py of a folder describes, for the command line.

    Raises:
        DefinitionError: there is no conftest.py, or it has no ``pytest_gonogo_project``.
    """
    path = folder / "conftest.py"
    if not path.is_file():
        raise DefinitionError(f"{path}: no such file; run the command in the folder of a project's conftest.py")
    spec = importlib.util.spec_from_file_location("gonogo_project_conftest", path)
    if spec is None or spec.loader is None:
        raise DefinitionError(f"{path}: cannot be imported as Python; correct the file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        raise DefinitionError(
            f"{path}: cannot be imported ({type(error).__name__}: {error}); correct the file"
        ) from error
    wiring = getattr(module, "pytest_gonogo_project", None)
    if wiring is None:
        raise DefinitionError(f"{path}: has no function pytest_gonogo_project; write one that returns a gonogo.Project")
    project = wiring()
    if not isinstance(project, Project):
        raise DefinitionError(f"{path}: pytest_gonogo_project returned {project!r}; return a gonogo.Project")
    return project

"""Everything that people wrote for a project, loaded and validated: criteria, workflow, cases, recordings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

from gonogo.criteria import Criteria, load_criteria
from gonogo.model import Ability, Phase, Workflow
from gonogo.parsed import ParsedFiles
from gonogo.planted_documents import planted_signoffs, planted_workflow
from gonogo.project import Project, Release
from gonogo.recordings import RecordingSet, load_recordings
from gonogo.signoffs import SignOffs, load_signoffs
from gonogo.verdict import Facts
from gonogo.workflows import load_workflow

__all__ = ["Definitions", "load_definitions"]


@dataclass(frozen=True)
class Definitions:
    """Everything that people wrote, loaded and validated."""

    project: Project
    criteria: Criteria
    workflow: Workflow

    @property
    def releases(self) -> dict[str, Release]:
        """Role -> release."""
        found = {"candidate": self.project.candidate}
        if self.project.baseline is not None:
            found["baseline"] = self.project.baseline
        return found

    @cached_property
    def recordings(self) -> dict[str, RecordingSet]:
        """Release version -> its recordings."""
        return {
            release.version: load_recordings(
                self.project.recordings_of(release), root=self.project.root, parsed=_parsed(self.project)
            )
            for release in self.releases.values()
        }

    @cached_property
    def signoffs(self) -> SignOffs:
        """Who signed for releases, and what is complained of, with what is planted in it on purpose.

        Raises:
            DefinitionError: the file is malformed, or conftest.py names one that is not there.
        """
        project = self.project
        found = load_signoffs(project.signoffs_file, root=project.root, must_exist=project.signoffs is not None)
        return planted_signoffs(found, project.candidate.planted, project.candidate.version)

    def with_one_case_per_step(self) -> Definitions:
        """The same with the first case of each step alone."""
        first = {step: cases[:1] for step, cases in self.workflow.cases.items()}
        return replace(self, workflow=replace(self.workflow, cases=MappingProxyType(first)))

    def facts(self, phase: Phase, abilities: Iterable[Ability]) -> Facts:
        """What a run of these definitions is about."""
        offered = set(abilities)
        if self.project.baseline is not None:
            offered.add(Ability.RELEASES)
            if self.project.stage:
                offered.add(Ability.STAGE)
        return Facts(
            phase=phase,
            steps=tuple(step.id for step in self.workflow.steps),
            cases={step.id: tuple(case.id for case in self.workflow.cases_of(step.id)) for step in self.workflow.steps},
            abilities=frozenset(offered),
            synthetic=any(recordings.synthetic for recordings in self.recordings.values()),
        )


def _parsed(project: Project) -> ParsedFiles:
    return ParsedFiles(project.root / ".gonogo_cache")


def load_definitions(project: Project) -> Definitions:
    """Load criteria, workflow and cases of a project, with what is planted in the definitions of its steps on purpose.

    Raises:
        DefinitionError: one of the files is malformed.
    """
    workflow = load_workflow(project.workflows, project.cases, root=project.root, parsed=_parsed(project))
    return Definitions(
        project,
        load_criteria(project.criteria, root=project.root),
        planted_workflow(workflow, project.candidate.planted),
    )

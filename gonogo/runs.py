"""A run on disk: what it is about, its evidence, its verdict, and the digest that any change of them breaks.

::

    <run>/run.json          the facts, fixed before the first test
    <run>/criteria.toml     a copy of the criteria
    <run>/recordings.json   the hash of every recording, by release
    <run>/shards/*.jsonl    the evidence
    <run>/notes.json        what went wrong around the tests, where something did
    <run>/proof.json        the proof of the gate that was there when the run ended
    <run>/manifest.json     SHA-256 of each of the above; the digest is the SHA-256 of this file's entries
    <run>/verdict.json      derived from the above, as verdict.md is; verify derives both again
    <run>/allure.json       SHA-256 of Allure's results (``report.results``), where Allure was on
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gonogo.criteria import Criteria, load_criteria
from gonogo.errors import EvidenceError, GonogoError
from gonogo.evidence import ShardContent, read_shard
from gonogo.found_proof import FoundProof
from gonogo.model import Ability, Evidence, Json, Phase, Recording, canonical
from gonogo.recordings import RecordingSet
from gonogo.verdict import Facts

__all__ = ["LoadedRun", "RunDirectory", "RunInfo", "as_written", "digest_of", "recording_hashes"]

VERSION = 1
_PROOF = "proof.json"
_PASSWORD = "measured.pass"  # there for as long as it takes the measured pass to start


@dataclass(frozen=True)
class RunInfo:
    """What a run is about. ``started`` is ISO 8601 in UTC; ``releases`` maps ``candidate``/``baseline`` to facts.

    ``failure`` says how the candidate failed to start, where it did. ``contents`` maps what is judged, and by what, to the
    hash of its files (``contents.Contents``): runs of one version may still be runs of different code. ``planted`` is the
    defect that was planted in the candidate on purpose, empty for none: such a run is about the gate.
    """

    id: str
    started: str
    facts: Facts
    releases: Mapping[str, Mapping[str, Json]]
    titles: Mapping[str, str]
    failure: str = ""
    contents: Mapping[str, str] = field(default_factory=dict)
    planted: str = ""

    def as_json(self) -> dict[str, Json]:
        """Plain data, for run.json."""
        return {
            "version": VERSION,
            "id": self.id,
            "started": self.started,
            "phase": self.facts.phase.value,
            "steps": list(self.facts.steps),
            "titles": dict(self.titles),
            "cases": {step: list(cases) for step, cases in self.facts.cases.items()},
            "abilities": [ability.value for ability in sorted(self.facts.abilities)],
            "synthetic": self.facts.synthetic,
            "releases": {name: dict(release) for name, release in self.releases.items()},
            "failure": self.failure,
            "contents": dict(self.contents),
            "planted": self.planted,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunInfo:
        """What ``as_json`` wrote.

        Raises:
            KeyError, TypeError, ValueError: the data is something else.
        """
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']!r} is not one that this gonogo reads ({VERSION})")
        facts = Facts(
            phase=Phase(data["phase"]),
            steps=tuple(data["steps"]),
            cases={step: tuple(cases) for step, cases in data["cases"].items()},
            abilities=frozenset(Ability(one) for one in data["abilities"]),
            synthetic=data["synthetic"],
        )
        contents = {name: str(value) for name, value in data["contents"].items()}
        return cls(
            id=data["id"],
            started=data["started"],
            facts=facts,
            releases=data["releases"],
            titles=data["titles"],
            failure=data["failure"],
            contents=contents,
            planted=str(data["planted"]),
        )


def recording_hashes(recordings: Mapping[str, RecordingSet]) -> dict[str, Json]:
    """Release -> recording id -> SHA-256 over request key, reply (status, text, frames, tool calls), provenance and cases."""
    return {
        release: {
            one.id: hashlib.sha256(canonical(_content(one))).hexdigest() for one in recordings[release].recordings
        }
        for release in sorted(recordings)
    }


def _content(recording: Recording) -> Json:
    reply = recording.reply
    frames: Json = [[frame.offset, frame.data.hex()] for frame in reply.frames]
    cases: Json = list(recording.cases)
    provenance: Json = [recording.provenance.value, recording.origin.value if recording.origin else None]
    calls: Json = [[one.name, dict(one.arguments)] for one in reply.tool_calls]
    return [recording.request.key, reply.status, reply.text, frames, calls, provenance, cases]


@dataclass(frozen=True)
class LoadedRun:
    """Everything a run holds, read back. ``proof``: of the gate, as the run found it; none where it did not look for any."""

    info: RunInfo
    criteria: Criteria
    shards: tuple[ShardContent, ...]
    proof: FoundProof | None = None

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """All records of all shards."""
        return tuple(record for shard in self.shards for record in shard.records)


@dataclass(frozen=True)
class RunDirectory:
    """The folder of a run."""

    path: Path

    @classmethod
    def create(
        cls, reports: Path, info: RunInfo, criteria: Path, recordings: Mapping[str, RecordingSet]
    ) -> RunDirectory:
        """Make the folder with what is known before the first test.

        Raises:
            EvidenceError: a run of that name is there already, or the folder cannot be written.
        """
        path = reports / "runs" / info.id
        try:
            (path / "shards").mkdir(parents=True)
            shutil.copyfile(criteria, path / "criteria.toml")
        except FileExistsError as error:
            raise EvidenceError(
                f"{path}: this run is there already; move it away, evidence is never overwritten"
            ) from error
        except OSError as error:
            raise EvidenceError(
                f"{path}: cannot be written ({error.strerror}); give another folder with --gonogo-report"
            ) from error
        run = cls(path)
        run.write_json("recordings.json", recording_hashes(recordings))
        run.write_json("run.json", info.as_json())
        return run

    def shard(self, name: str) -> Path:
        """The path of a shard."""
        return self.path / "shards" / f"{name}.jsonl"

    def ask_in(self) -> str:
        """Let one process in that adds a shard to this run: what it has to say to ``let_in``."""
        word = secrets.token_hex(16)
        self.write_text(_PASSWORD, word)
        return word

    def let_in(self, word: str) -> bool:
        """Whether a process was asked in with this word. It holds once, and only until ``shut``."""
        try:
            asked = (self.path / _PASSWORD).read_text(encoding="utf-8")
        except OSError:
            return False
        if not word or asked != word:
            return False
        self.shut()
        return True

    def shut(self) -> None:
        """Let nobody in any more."""
        (self.path / _PASSWORD).unlink(missing_ok=True)

    @property
    def allure_results(self) -> Path:
        """Where Allure's raw results go unless the user says otherwise."""
        return self.path / "allure-results"

    def write_json(self, name: str, data: Mapping[str, Json]) -> None:
        """Write a file whole or not at all."""
        self.write_text(name, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a file whole or not at all."""
        temporary = self.path / f".{name}.writing"
        temporary.write_bytes(as_written(text))
        temporary.replace(self.path / name)

    def info(self) -> RunInfo:
        """The facts of the run.

        Raises:
            EvidenceError: it is no run, or damaged.
        """
        try:
            return RunInfo.from_json(self.read_json("run.json"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EvidenceError(
                f"{self.path.name}/run.json: not the facts of a run ({error!r}); the run is damaged"
            ) from error

    def load(self) -> LoadedRun:
        """Read the run back.

        Raises:
            EvidenceError: it is no run, or damaged.
        """
        info = self.info()
        try:
            criteria = load_criteria(self.path / "criteria.toml", root=self.path)
        except GonogoError as error:
            raise EvidenceError(f"{self.path.name}: the snapshot of the criteria cannot be used: {error}") from error
        shards = tuple(read_shard(path) for path in sorted((self.path / "shards").glob("*.jsonl")))
        return LoadedRun(info, criteria, shards, self._proof())

    def keep_proof(self, proof: FoundProof) -> None:
        """Write down how the gate was proven when the run ended; later proofs do not change what was judged."""
        self.write_json(_PROOF, proof.as_json())

    def _proof(self) -> FoundProof | None:
        if not (self.path / _PROOF).is_file():
            return None
        try:
            return FoundProof.from_json(self.read_json(_PROOF))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EvidenceError(
                f"{self.path.name}/{_PROOF}: not the proof of a gate ({error!r}); the run is damaged"
            ) from error

    def read_json(self, name: str) -> Any:
        """A JSON file of the run.

        Raises:
            EvidenceError: it is not there or no JSON.
        """
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise EvidenceError(f"{path}: no such file; give the folder of a run, such as reports/latest") from error
        except (OSError, ValueError) as error:
            raise EvidenceError(f"{path}: cannot be read ({error}); the run is damaged") from error

    def read_bytes(self, name: str) -> bytes:
        """A file of the run.

        Raises:
            EvidenceError: it cannot be read.
        """
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise EvidenceError(
                f"{self.path.name}/{name}: cannot be read ({error.strerror}); the run is damaged"
            ) from error

    def hashes(self) -> dict[str, Json]:
        """File -> SHA-256, of everything that the verdict is derived from."""
        files = ["run.json", "criteria.toml", "recordings.json"]
        files += [name for name in ("notes.json", _PROOF) if (self.path / name).is_file()]
        files += sorted(f"shards/{path.name}" for path in (self.path / "shards").glob("*"))
        try:
            return {name: hashlib.sha256((self.path / name).read_bytes()).hexdigest() for name in files}
        except OSError as error:
            raise EvidenceError(
                f"{self.path.name}: {error.filename} cannot be read ({error.strerror}); the run is damaged"
            ) from error

    def seal(self) -> str:
        """Write the manifest; no evidence may come after it. Returns the digest of the run."""
        hashes = self.hashes()
        self.write_json("manifest.json", {"version": VERSION, "files": hashes})
        return digest_of(hashes)

    def changed_files(self) -> Sequence[str]:
        """What is not as it was when the run was sealed.

        Raises:
            EvidenceError: the run was never sealed, or the manifest is no manifest.
        """
        if not self.is_sealed:
            run = self.info()  # a folder that is no run says so
            raise EvidenceError(f"{run.id}: was never sealed, so it did not come to its end; run it again")
        manifest = self.read_json("manifest.json")
        files = manifest.get("files") if isinstance(manifest, dict) else None
        if not isinstance(files, dict):
            raise EvidenceError(f"{self.path.name}/manifest.json: not a manifest; the run is damaged")
        now = self.hashes()
        return sorted(name for name in {*files, *now} if files.get(name) != now.get(name))

    @property
    def is_sealed(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / "manifest.json").is_file()

    @property
    def digest(self) -> str:
        """The digest of the run as it lies there now."""
        return digest_of(self.hashes())

    def point_latest(self) -> None:
        """Let ``reports/latest`` point to this run."""
        link = self.path.parent.parent / "latest"
        temporary = link.with_name(f".latest-{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(Path("runs") / self.path.name)
        temporary.replace(link)


def as_written(text: str) -> bytes:
    """A text as a run's folder holds it; what no encoding takes stands there as an escape."""
    return text.encode("utf-8", "backslashreplace")


def digest_of(hashes: Mapping[str, Json]) -> str:
    """SHA-256 over the canonical JSON of file -> hash."""
    return hashlib.sha256(canonical(dict(hashes))).hexdigest()

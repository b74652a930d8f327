"""What Prometheus reads: one registry per application, or one folder for all processes that serve it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from app.failures import Failure
from app.metric_files import FileCounter, FileGauge, FileHistogram, MergedFiles, ValueFiles

__all__ = ["CONTENT_TYPE", "Metrics", "resident_memory"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
CONSTRUCTION_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0)  # seconds
MEMORY_INTERVAL: Final = 1.0  # seconds between two looks at this process's memory, at least

CONSTRUCTION = ("blog_prompt_construction_seconds", "Time to build a prompt, the fallback to the simple one included.")
RUNS = ("blog_runs", "Runs of a step.")
ERRORS = ("blog_errors", "Errors by their code, and by type and place.")
FALLBACKS = ("blog_fallbacks", "Simple prompts, by reason.")
TEMPLATES = ("blog_template_usage", "Constructed prompts, by format template.")
MEMORY = ("blog_resident_memory_bytes", "Resident memory of the serving process, the largest of all that live.")
RELEASE = ("blog_release_info", "The release that answers.")


class Metrics:
    """The application's metrics: of this process alone, or with `folder` of all processes that keep theirs there.

    Raises SettingsError where the folder cannot be written to.
    """

    construction: Histogram | FileHistogram
    runs: Counter | FileCounter
    errors: Counter | FileCounter
    fallbacks: Counter | FileCounter
    template_usage: Counter | FileCounter
    memory: Gauge | FileGauge | None

    def __init__(self, release: str, folder: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        self._memory_read = -MEMORY_INTERVAL
        self._files: ValueFiles | None = None
        # told by the process that answers, never read from a file: a release that has gone must not be named any more
        Gauge(*RELEASE, ["version"], registry=self.registry).labels(release).set(1)
        remembers = resident_memory() is not None
        if folder is None:
            registry = self.registry
            self.construction = Histogram(*CONSTRUCTION, ["step"], buckets=CONSTRUCTION_BUCKETS, registry=registry)
            self.runs = Counter(*RUNS, ["step", "status"], registry=registry)
            self.errors = Counter(*ERRORS, ["kind", "fingerprint"], registry=registry)
            self.fallbacks = Counter(*FALLBACKS, ["reason"], registry=registry)
            self.template_usage = Counter(*TEMPLATES, ["template"], registry=registry)
            self.memory = Gauge(*MEMORY, registry=registry) if remembers else None
            return
        self._files = files = ValueFiles(folder)
        construction = FileHistogram(files, *CONSTRUCTION, ["step"], buckets=CONSTRUCTION_BUCKETS)
        runs = FileCounter(files, *RUNS, ["step", "status"])
        errors = FileCounter(files, *ERRORS, ["kind", "fingerprint"])
        fallbacks = FileCounter(files, *FALLBACKS, ["reason"])
        template_usage = FileCounter(files, *TEMPLATES, ["template"])
        memory = FileGauge(files, *MEMORY)
        self.construction, self.runs, self.errors = construction, runs, errors
        self.fallbacks, self.template_usage, self.memory = fallbacks, template_usage, memory if remembers else None
        known = (construction, runs, errors, fallbacks, template_usage, *((memory,) if remembers else ()))
        self.registry.register(MergedFiles(folder, lambda: [one.declared() for one in known]))

    def count_error(self, failure: Failure) -> None:
        """Count an error by its kind and fingerprint."""
        self.errors.labels(failure.kind, failure.fingerprint).inc()

    def look_at_memory(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Note this process's memory, unless it was noted within the last second."""
        if self.memory is None or clock() - self._memory_read < MEMORY_INTERVAL:
            return
        self._memory_read = clock()
        if (resident := resident_memory()) is not None:
            self.memory.set(resident)

    def render(self, names: Sequence[str] = ()) -> bytes:
        """The text format of Prometheus: all metrics, or those that have one of these names (``blog_fallbacks_total``)."""
        self.look_at_memory()
        return generate_latest(self.registry.restricted_registry(names) if names else self.registry)

    def close(self) -> None:
        """Close the files, where there are any."""
        if self._files is not None:
            self._files.close()


def resident_memory() -> int | None:
    """Bytes of this process that are in memory; None where the system does not say.

    Source: the second field of /proc/self/statm (Linux, proc(5)), in pages.
    """
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")

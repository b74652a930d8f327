"""Runs that a watch makes itself, where users make too few: recorded cases on a live service, by titles that say whose they are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle

from gonogo.definitions import Definitions
from gonogo.errors import GonogoError, ProductFailure
from gonogo.workbench import Workbench

__all__ = ["SyntheticRuns", "synthetic_runs"]


class SyntheticRuns:
    """Counts what it has asked for. ``ended``: why it asks no more, where it stopped by itself."""

    def __init__(self, definitions: Definitions, rate: float) -> None:
        self.asked = 0
        self.ended = ""
        self._definitions, self._rate = definitions, rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="synthetic-runs", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more, and remove what was made."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        workbench = Workbench(self._definitions)
        cases = [
            case for step in self._definitions.workflow.steps for case in self._definitions.workflow.cases_of(step.id)
        ]
        try:
            for case in cycle(cases):
                if self._stop.wait(1.0 / self._rate):
                    return
                self.asked += 1
                try:
                    workbench.candidate.run(case, watched=False)
                except ProductFailure:
                    continue  # the service counts it, and the watch reads what it counts
        except GonogoError as error:  # another release answers, the service is away: the watch sees that itself
            self.ended = " ".join(str(error).split())
        finally:
            workbench.close()


@contextmanager
def synthetic_runs(definitions: Definitions, rate: float | None) -> Iterator[SyntheticRuns | None]:
    """Runs at so many a second until the block ends; none where there is no rate."""
    if rate is None:
        yield None
        return
    runs = SyntheticRuns(definitions, rate)
    runs.start()
    try:
        yield runs
    finally:
        runs.stop()

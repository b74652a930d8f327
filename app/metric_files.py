"""Counts that several processes share: each writes its own to files in one folder, and whoever is asked reads those of all.

The files and their merging are those of prometheus_client's multi-process mode. Its switch is not: that is an environment variable,
read when the library is first imported and holding for the whole process. A server's main process that has imported it, for
whatever reason, would hand the wrong choice down to every worker that it starts later.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock

from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from app.errors import SettingsError

__all__ = ["FileCounter", "FileGauge", "FileHistogram", "MergedFiles", "ValueFiles"]

LIVE_MAXIMUM = "gauge_livemax"  # a gauge of which the largest value of all living processes is shown


class ValueFiles:
    """What this process counts, in files of its own below a folder. They stay when it ends, however it ends.

    One for each process and folder: they are named after the process.
    Raises SettingsError where the folder cannot be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f"probe_{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise SettingsError(
                f"METRICS_DIR = {str(folder)!r} cannot be written to ({type(error).__name__}); "
                "name a folder that the application may make, or write to"
            ) from error
        self.folder = folder
        self._lock = Lock()
        self._pid = os.getpid()
        self._files: dict[str, MmapedDict] = {}

    def change(self, kind: str, changes: Iterable[tuple[str, float]]) -> None:
        """Add to the values of these keys, all of them before anything else is written."""
        with self._lock:
            file = self._file(kind)
            for key, amount in changes:
                value, _ = file.read_value(key)  # makes it, with nothing, where it is not there yet
                if amount:
                    file.write_value(key, value + amount, 0.0)

    def put(self, kind: str, key: str, value: float) -> None:
        """Make this the value of the key."""
        with self._lock:
            self._file(kind).write_value(key, value, 0.0)

    def close(self) -> None:
        """Close the files. A later use opens them again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}

    def _file(self, kind: str) -> MmapedDict:
        if self._pid != os.getpid():  # this is a child now: what was counted so far is its parent's
            self._pid = os.getpid()
            self._close()
        if kind not in self._files:
            self._files[kind] = MmapedDict(str(self.folder / f"{kind}_{self._pid}.db"))
        return self._files[kind]


class _Labelled:
    """A metric and its label names; ``labels`` gives the part of it that has these values."""

    def __init__(self, files: ValueFiles, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        self._files = files
        self._name = name
        self._documentation = documentation
        self._labels = tuple(labels)

    def _key(self, name: str, values: Sequence[str], **further: str) -> str:
        names = [*self._labels, *further]
        return mmap_key(self._name, name, names, [*values, *further.values()], self._documentation)


class FileCounter(_Labelled):
    """A counter, as prometheus_client has it."""

    def declared(self) -> Metric:
        return Metric(self._name, self._documentation, "counter")

    def labels(self, *values: str) -> _Count:
        return _Count(self._files, self._key(f"{self._name}_total", values))


class _Count:
    def __init__(self, files: ValueFiles, key: str) -> None:
        self._files = files
        self._key = key

    def inc(self, amount: float = 1.0) -> None:
        self._files.change("counter", [(self._key, amount)])


class FileGauge(_Labelled):
    """A gauge without labels; of what all living processes set, the largest is shown."""

    def declared(self) -> Metric:
        return Metric(self._name, self._documentation, "gauge")

    def set(self, value: float) -> None:
        self._files.put(LIVE_MAXIMUM, self._key(self._name, ()), value)


class FileHistogram(_Labelled):
    """A histogram with these upper edges of its buckets, and an infinite one."""

    def __init__(
        self, files: ValueFiles, name: str, documentation: str, labels: Sequence[str], *, buckets: Sequence[float]
    ) -> None:
        super().__init__(files, name, documentation, labels)
        self._edges = (*buckets, float("inf"))
        self._children: dict[tuple[str, ...], _Times] = {}

    def declared(self) -> Metric:
        return Metric(self._name, self._documentation, "histogram")

    def labels(self, *values: str) -> _Times:
        if values not in self._children:
            keys = [self._key(f"{self._name}_bucket", values, le=floatToGoString(edge)) for edge in self._edges]
            child = _Times(self._files, self._key(f"{self._name}_sum", values), self._edges, keys)
            self._children.setdefault(values, child)
        return self._children[values]


class _Times:
    def __init__(self, files: ValueFiles, total: str, edges: Sequence[float], keys: Sequence[str]) -> None:
        self._files = files
        self._total = total
        self._buckets = list(zip(edges, keys, strict=True))

    def observe(self, amount: float) -> None:
        # all buckets, with nothing for those that it does not lie in: an edge that no process has is not shown
        within = next(edge for edge, _ in self._buckets if amount <= edge)
        counts = [(key, 1.0 if edge == within else 0.0) for edge, key in self._buckets]
        self._files.change("histogram", [*counts, (self._total, amount)])


class MergedFiles(Collector):
    """The counts of all processes, dead ones' too; of gauges what the living ones set. Metrics that nobody has counted are empty."""

    def __init__(self, folder: Path, declared: Callable[[], Iterable[Metric]]) -> None:
        self._folder = folder
        self._declared = declared

    def describe(self) -> Iterable[Metric]:
        return self._declared()

    def collect(self) -> Iterator[Metric]:
        found = {metric.name: metric for metric in MultiProcessCollector.merge(list(self._readable()))}
        for metric in self._declared():
            yield found.get(metric.name, metric)

    def _readable(self) -> Iterator[str]:
        for file in sorted(self._folder.glob("*.db")):
            pid = file.stem.rpartition("_")[2]
            if file.name.startswith(LIVE_MAXIMUM) and not _lives(int(pid)):
                continue  # killed together with the process that would have noticed
            if file.stat().st_size:  # it has just been made, and holds nothing yet
                yield str(file)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

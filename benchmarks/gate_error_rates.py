"""How often a gate on construction time is wrong: gonogo's comparison beside pytest-benchmark's, in one run.

The same constructor is held against itself (A/A), against one that is 10 % slower and against one that is 5 % slower.
Both tools decide about the same, by turns, on the same machine:

- gonogo: a bound of the ratio over fresh pairs of processes, looked at until two looks on end agree (``gonogo.latency``);
- pytest-benchmark: ``--benchmark-compare-fail=median:5%`` (2.5 % where the planted slowdown is 5 %), two runs of pytest with a
  process each.

Every decision is written down as it is made, so that what was broken off goes on where it stopped.

``python -m benchmarks.gate_error_rates --help``
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from gonogo.latency import Both, Pair, by_turns, ratio_bound, until_clear
from gonogo.model import Case
from gonogo.project import Release
from gonogo.result_lines import whole_lines
from gonogo.statistics import Decision, Limit, proportion
from gonogo.targets.client import ReleaseWorker
from gonogo.workflows import load_workflow

ROOT = Path(__file__).parents[1]
# processes differ more than turns, so that first more of them are asked
LOOKS = (
    {"processes": 8, "pairs": 12},
    {"processes": 16, "pairs": 12},
    {"processes": 32, "pairs": 12},
    {"processes": 32, "pairs": 48},
)
AT_HAND = 32  # pairs of processes that are started before the first decision
CONFIDENCE = 1 - 0.05 / len(LOOKS)  # shared between the looks (Bonferroni)
RULE = {"looks": list(LOOKS), "confidence": CONFIDENCE, "answer": "two looks on end"}
STEP = "construct"
OURS, THEIRS = "gonogo", "pytest-benchmark"
SETTLING, COUNTED, TOGETHER = 1, 4, 20  # rounds of a turn, and constructions of a round
PLAIN = Case("plain", STEP, {"loops": "0"})


@dataclass(frozen=True)
class Kind:
    """What is held against the plain constructor: how much slower it is, the limit on the ratio, and what ought to come out."""

    name: str
    slower: float
    limit: float

    @property
    def is_slower(self) -> bool:
        """Whether the limit is broken."""
        return self.slower > 0


KINDS = (
    Kind("A/A, limit 1.05", 0.0, 1.05),
    Kind("A/A, limit 1.025", 0.0, 1.025),
    Kind("+10 %, limit 1.05", 0.10, 1.05),
    Kind("+5 %, limit 1.025", 0.05, 1.025),
)


@dataclass(frozen=True)
class Made:
    """One decision: who made it about what, beside what; what was said, after how many seconds, and the ratio that was seen."""

    tool: str
    kind: str
    busy: bool
    said: str
    seconds: float
    ratio: float


class Decisions:
    """Those made so far, in memory and in a file: first the rule that they were made by, then a line each."""

    def __init__(self, file: Path, *, busy: bool) -> None:
        self._file = file
        self._busy = busy
        kept = whole_lines(file.read_bytes()) if file.exists() else b""
        head, *lines = kept.splitlines() or [b""]
        if head and json.loads(head) != RULE:
            raise SystemExit(f"{file}: its decisions were made by another rule ({head.decode()}); name another file")
        made = [Made(**json.loads(line)) for line in lines]
        self._made = [one for one in made if one.busy == busy]
        whole = [head or json.dumps(RULE).encode(), *lines]
        file.write_bytes(b"".join(line + b"\n" for line in whole))

    def of(self, tool: str, kind: Kind) -> list[Made]:
        """What this tool has said of this kind."""
        return [one for one in self._made if (one.tool, one.kind) == (tool, kind.name)]

    def add(self, tool: str, kind: Kind, decide: Callable[[], tuple[str, float]]) -> None:
        """Have one more made."""
        begin = time.monotonic()
        said, ratio = decide()
        made = Made(tool, kind.name, self._busy, said, time.monotonic() - begin, ratio)
        self._made.append(made)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(made)) + "\n")


def row(tool: str, kind: Kind, made: Sequence[Made]) -> list[str]:
    """What a tool has said of a kind, as the table shows it."""
    said = [one.said for one in made]
    n, slow, undecided = len(said), said.count("slower"), said.count("undecided")
    if not n:
        return [tool, kind.name, "0", "", "", "", ""]
    bound = proportion(slow, n)
    end = f">= {bound.lower:.1%}" if kind.is_slower else f"<= {bound.upper:.1%}"
    undecided_end = f"{undecided} (<= {proportion(undecided, n).upper:.1%})"
    ratio = f"{statistics.median(one.ratio for one in made):.3f}"
    seconds = sorted(one.seconds for one in made)
    took = f"{statistics.median(seconds):.2f} s, 9 of 10 in {seconds[-(-9 * n // 10) - 1]:.2f} s"
    return [tool, kind.name, str(n), f"{slow} ({end})", undecided_end, ratio, took]


def spent(cases: tuple[Case, Case]) -> Callable[[ReleaseWorker, int, int], float]:
    """The seconds of a turn: the median of a few rounds, the first after the other release's not counted."""

    def seconds(worker: ReleaseWorker, release: int, number: int) -> float:
        rounds = worker.time_construct([cases[release]], SETTLING + COUNTED, together=TOGETHER)
        return statistics.median(rounds[SETTLING:]) / TOGETHER / 1e9

    return seconds


def decide(start: Callable[[int], list[Both]], case: Case, limit: float) -> tuple[str, float]:
    """``slower``, ``not slower`` or ``undecided``, and the ratio that was seen."""

    def look_at(*, processes: int, pairs: int, timed: Sequence[Sequence[Pair]]) -> list[list[Pair]]:
        return by_turns(start(processes), spent((case, PLAIN)), pairs=pairs, timed=timed)

    def decided(timed: Sequence[Sequence[Pair]]) -> Decision:
        return Limit("<=", limit).decide(ratio_bound(timed, confidence=CONFIDENCE))

    timed, _ = until_clear(look_at, LOOKS, decided)
    bound = ratio_bound(timed, confidence=CONFIDENCE)
    said = {Decision.WITHIN: "not slower", Decision.OUTSIDE: "slower", Decision.OPEN: "undecided"}
    return said[Limit("<=", limit).decide(bound)], bound.estimate


@contextmanager
def fresh_processes() -> Iterator[Callable[[int], list[Both]]]:
    """Hands out so many pairs of processes, started when they are first asked for."""
    release = Release(
        "plain", f"{Path(__file__).with_name('gate_release.py')}:open_release", ROOT, ("app", "benchmarks")
    )
    [step, *_] = load_workflow(ROOT / "workflows", ROOT / "fixtures" / "cases").steps
    pairs: list[Both] = []
    with ExitStack() as stack:

        def processes(count: int) -> list[Both]:
            started = [ReleaseWorker(release, (replace(step, id=STEP),)) for _ in range(2 * (count - len(pairs)))]
            for worker in started:
                stack.callback(worker.close)
            opened = [worker.opened() for worker in started]
            pairs.extend(zip(opened[::2], opened[1::2], strict=True))
            return pairs[:count]

        yield processes


def loops_for(share: float) -> int:
    """How often to go round in circles to take this share longer; measured here and now, until it comes out right.

    In twice as many processes as a decision may look at: two of them can differ by more than the slowdown that is to be planted,
    and 64 pairs tell it within about 0.2 %.
    """
    with fresh_processes() as processes:
        loops = 100
        for _ in range(12):
            case = Case("slow", STEP, {"loops": str(loops)})
            timed = by_turns(processes(2 * AT_HAND), spent((case, PLAIN)), pairs=24)
            seen = ratio_bound(timed, confidence=CONFIDENCE).estimate - 1
            if abs(seen - share) <= share / 20:
                return loops
            loops = max(1, round(loops * share / seen)) if seen > 0 else 2 * loops
    raise SystemExit(f"a slowdown of {share:.0%} came out as {seen:.1%}; use a quieter machine")


PYTEST = """
from benchmarks.gate_release import burdened
from benchmarks.material import PLAIN, material
from app.workflow.scripts.prompt_constructor import construct_prompt

def test_construct(benchmark):
    made = material(4, PLAIN)
    benchmark(burdened, lambda: construct_prompt(made.step, made.inputs).text, {loops})
"""


def pytest_benchmark_decides(folder: Path, loops: int, limit: float) -> tuple[str, float]:
    """One run of pytest that keeps the plain constructor's times, and one that compares the other with it.

    The option takes whole per cent only; for others its rule, new median / old median, is applied to what it has written.
    """
    kept, compared = folder / "kept.json", folder / "compared.json"
    percent = (limit - 1) * 100
    fail = [f"--benchmark-compare-fail=median:{percent:.0f}%"] if abs(percent - round(percent)) < 1e-6 else []
    _run_pytest(folder / "plain", 0, [f"--benchmark-json={kept}"])
    status = _run_pytest(
        folder / "other", loops, [f"--benchmark-compare={kept}", *fail, f"--benchmark-json={compared}"]
    )
    old, new = (json.loads(one.read_text())["benchmarks"][0]["stats"]["median"] for one in (kept, compared))
    slower = bool(status) if fail else new / old > limit
    return ("slower" if slower else "not slower"), new / old


def _run_pytest(folder: Path, loops: int, options: Sequence[str]) -> int:
    file = folder / "test_construct.py"  # the same name in both, as it is what is compared
    folder.mkdir(exist_ok=True)
    file.write_text(PYTEST.replace("{loops}", str(loops)), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_benchmark.plugin"]
    done = subprocess.run(
        [*command, "-c", os.devnull, f"--rootdir={folder}", str(file), *options],
        cwd=folder,
        # no other plugin, so that what its decision takes is its own
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"pytest-benchmark ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.returncode


def missing(decisions: Decisions, wanted: Mapping[tuple[str, Kind], int]) -> dict[tuple[str, Kind], int]:
    """How many decisions of each tool and kind are still to be made."""
    return {one: max(0, number - len(decisions.of(*one))) for one, number in wanted.items()}


def make(decisions: Decisions, wanted: Mapping[tuple[str, Kind], int], *, each: int, busy: bool) -> None:
    """Make the decisions that are missing, so many of each kind with the same processes."""
    if not any(missing(decisions, wanted).values()):
        return
    with ExitStack() as stack:
        loops = {kind: loops_for(kind.slower) if kind.is_slower else 0 for kind in KINDS}
        if busy:
            circles = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(circles.wait)
            stack.callback(circles.kill)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        began = time.monotonic()
        while left := sum(missing(decisions, wanted).values()):
            print(f"{time.monotonic() - began:7.0f} s  {left} to go", file=sys.stderr, flush=True)
            with fresh_processes() as processes:
                processes(AT_HAND)
                for kind in KINDS * each:
                    if missing(decisions, wanted)[OURS, kind]:
                        case = Case(kind.name, STEP, {"loops": str(loops[kind])})
                        decisions.add(OURS, kind, partial(decide, processes, case, kind.limit))
            for kind in KINDS:
                if missing(decisions, wanted)[THEIRS, kind]:
                    decisions.add(THEIRS, kind, partial(pytest_benchmark_decides, folder, loops[kind], kind.limit))


def print_table(decisions: Decisions) -> None:
    """What each tool has said of each kind."""
    head = ["tool", "held against", "decisions", "said to be slower", "undecided", "ratio", "seconds for a decision"]
    rows = [head, *(row(tool, kind, decisions.of(tool, kind)) for kind in KINDS for tool in (OURS, THEIRS))]
    widths = [max(len(one[column]) for one in rows) for column in range(len(head))]
    for one in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(one, widths, strict=True)).rstrip())


def main() -> None:
    """Decide as often as is asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--decisions", type=int, default=500, help="of gonogo, for each A/A; three fifths for each slowdown"
    )
    parser.add_argument("--theirs", type=int, default=100, help="decisions of pytest-benchmark of each kind")
    parser.add_argument("--each", type=int, default=5, help="decisions of each kind with the same processes")
    parser.add_argument("--busy", action="store_true", help="keep one core busy meanwhile")
    parser.add_argument("--kept", type=Path, required=True, help="the file of decisions to go on with, or to begin")
    asked = parser.parse_args()
    decisions = Decisions(asked.kept, busy=asked.busy)
    ours = {(OURS, kind): asked.decisions * 3 // 5 if kind.is_slower else asked.decisions for kind in KINDS}
    theirs = {(THEIRS, kind): asked.theirs for kind in KINDS}
    make(decisions, ours | theirs, each=asked.each, busy=asked.busy)
    print_table(decisions)


if __name__ == "__main__":
    main()

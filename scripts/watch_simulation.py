"""How soon a watch finds a fault, and how often it is wrong: simulated with the limits of the bundled criteria.toml.

    .venv/bin/python scripts/watch_simulation.py

prints the tables of docs/watching.md, in some minutes. Requests come at random (Poisson), each one fails or does not,
independently of the others; all watches of a row are simulated side by side. The same seed gives the same figures.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from gonogo.criteria import load_criteria
from gonogo.sequential import LEAP, ShareTest
from gonogo.statistics import proportion
from gonogo.triggers import Alarm, WatchRules

__all__ = ["Averages", "Judge", "Peeks", "Share", "Tests", "Traffic", "first_alarms", "promised", "within"]

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]
Share: TypeAlias = Callable[[float], float]  # seconds since the beginning -> share of requests that fail

CRITERIA = Path(__file__).resolve().parent.parent / "acceptance" / "criteria.toml"
HEALTHY = 0.005
HOUR = 3600.0
STEPS = 18  # of the bundled workflow, all run equally often
LEAST = 300  # requests below which an average says nothing


@dataclass(frozen=True)
class Traffic:
    """Requests per second, and seconds between two looks. Errors come ``burst`` at a time: one cause fails so many."""

    rate: float = 5.0
    interval: float = 2.0
    burst: int = 1


class Judge(Protocol):
    """Judges many watches side by side. ``take`` gives which of them it would alarm now."""

    def take(self, events: Counts, bad: Counts) -> npt.NDArray[np.bool_]:
        """One more look at each."""
        ...

    def keep(self, which: npt.NDArray[np.bool_]) -> None:
        """Go on with these watches only."""
        ...


class Tests(Judge):
    """``ShareTest.after`` and ``ShareTest.fires``, with an array for what is a number there."""

    __test__ = False

    def __init__(self, test: ShareTest, watches: int) -> None:
        shares = np.array(test.alternatives)
        self._bad, self._good = np.log(shares / test.limit), np.log((1.0 - shares) / (1.0 - test.limit))
        self._most, self._threshold = math.exp(test.most), test.looks
        self.statistics: Floats = np.zeros((watches, len(shares)))  # R, not its logarithm

    def take(self, events: Counts, bad: Counts) -> npt.NDArray[np.bool_]:
        """One more look at each."""
        ratios = np.exp(np.minimum(bad[:, None] * self._bad + (events - bad)[:, None] * self._good, math.log(LEAP)))
        after = np.minimum((self.statistics + 1.0) * ratios, self._most)
        self.statistics = np.where(events[:, None] > 0, after, self.statistics)
        fires: npt.NDArray[np.bool_] = self.statistics.mean(axis=1) >= self._threshold
        return fires

    def keep(self, which: npt.NDArray[np.bool_]) -> None:
        """Go on with these watches only."""
        self.statistics = self.statistics[which]


class Averages(Judge):
    """For comparison: alarms where the average since the beginning lies above the limit."""

    def __init__(self, limit: float, watches: int) -> None:
        self._limit = limit
        self.events, self.bad = np.zeros(watches, dtype=np.int64), np.zeros(watches, dtype=np.int64)

    def take(self, events: Counts, bad: Counts) -> npt.NDArray[np.bool_]:
        """One more look at each."""
        self.events, self.bad = self.events + events, self.bad + bad
        return (self.events >= LEAST) & (self.bad > self._limit * self.events)

    def keep(self, which: npt.NDArray[np.bool_]) -> None:
        """Go on with these watches only."""
        self.events, self.bad = self.events[which], self.bad[which]


class Peeks(Averages):
    """For comparison: an exact binomial test of all since the beginning, at a level, done anew at each look."""

    def __init__(self, limit: float, watches: int, level: float) -> None:
        super().__init__(limit, watches)
        self._level = level

    def take(self, events: Counts, bad: Counts) -> npt.NDArray[np.bool_]:
        """One more look at each."""
        super().take(events, bad)
        chance = np.where(self.bad > 0, special.bdtrc(self.bad - 1.0, self.events, self._limit), 1.0)
        fires: npt.NDArray[np.bool_] = chance < self._level
        return fires


def always(share: float) -> Share:
    """The same share all the time."""
    return lambda at: share


def fault(share: float, begins: float) -> Share:
    """A healthy service, of which from a moment on so many requests fail."""
    return lambda at: share if at > begins else HEALTHY


def first_alarms(judge: Judge, watches: int, traffic: Traffic, share: Share, seconds: float, seed: int) -> Floats:
    """Seconds until the first alarm of each watch; infinite where there is none."""
    random = np.random.default_rng(seed)
    alarms = np.full(watches, np.inf)
    running = np.arange(watches)
    for look in range(1, round(seconds / traffic.interval) + 1):
        at = look * traffic.interval
        events = random.poisson(traffic.rate * traffic.interval, size=len(running))
        bad = traffic.burst * random.binomial(events, share(at) / traffic.burst)
        fires = judge.take(events, np.minimum(bad, events))
        if fires.any():
            alarms[running[fires]] = at
            running = running[~fires]
            judge.keep(~fires)
            if not len(running):
                break
    return alarms


def promised() -> WatchRules:
    """The rules of the bundled criteria.toml."""
    rules = load_criteria(CRITERIA).watch
    if rules is None:
        raise SystemExit(f"{CRITERIA} has no [watch]; write one, with its triggers")
    return rules


def share_test(rules: WatchRules, level: Alarm, trigger: str = "errors", parts: int = 1) -> ShareTest:
    """The test by which a trigger says this. ``parts``: steps among which it is shared out."""
    share = rules[trigger].share(level)
    if share is None:
        raise SystemExit(f"{CRITERIA}: the trigger {trigger!r} never says {level.name.lower()}; give it a limit")
    return ShareTest(share, parts * rules[trigger].run_length / rules.interval)


def within(test: ShareTest, share: float, begins: float, seconds: float, watches: int, seed: int) -> tuple[int, Floats]:
    """How many of the watches say it within so many seconds of the fault, and how long each took.

    One that said it before the fault began has failed: its time is infinite.
    """
    alarms = first_alarms(
        Tests(test, watches), watches, Traffic(), fault(share, begins), begins + max(seconds, 600.0), seed
    )
    took = np.where(alarms > begins, alarms - begins, np.inf)
    return int((took <= seconds).sum()), took


def _seconds(times: Floats, quantile: float) -> str:
    found = float(np.quantile(times, quantile, method="higher"))
    if math.isinf(found):
        return "later"
    return f"{found:.0f} s" if found < 600 else f"{found / 60:.0f} min"


def _detections(rules: WatchRules) -> Iterator[str]:
    yield "| share of errors | begins at minute | says | within | in | at least (95 %) |"
    yield "|---|---|---|---|---|---|"
    watches = 20000
    for share, level, seconds in ((0.2, Alarm.ROLLBACK, 90.0), (0.1, Alarm.ALERT, 180.0)):
        for minute in (0, 5, 50):
            found, _ = within(share_test(rules, level), share, minute * 60.0, seconds, watches, seed=1)
            least = 1.0 - proportion(watches - found, watches).upper
            yield f"| {share:.0%} | {minute} | {level.name.lower()} | {seconds:.0f} s | {found / watches:.2%} | {least:.2%} |"


def _times(rules: WatchRules) -> Iterator[str]:
    yield "| share of errors | requests/s | alert: median | 99 % | rollback: median | 99 % |"
    yield "|---|---|---|---|---|---|"
    watches, begins = 4000, 300.0
    for rate in (0.1, 1.0, 5.0, 50.0):
        traffic = Traffic(rate)
        for share in (0.075, 0.1, 0.2, 0.5, 1.0):
            cells = []
            for level in (Alarm.ALERT, Alarm.ROLLBACK):
                test = share_test(rules, level)
                if share <= test.limit:
                    cells += ["-", "-"]
                    continue
                lasts = 1800.0 if rate >= 1.0 else 5 * HOUR
                times = first_alarms(
                    Tests(test, watches), watches, traffic, fault(share, begins), begins + lasts, seed=2
                )
                took = np.where(times > begins, times - begins, np.inf)
                cells += [_seconds(took, 0.5), _seconds(took, 0.99)]
            yield f"| {share:.1%} | {rate:g} | {' | '.join(cells)} |"


def _steps(rules: WatchRules) -> Iterator[str]:
    yield f"| of one step of {STEPS}, at 5 requests/s in all | share | alert: median | 99 % | rollback: median | 99 % |"
    yield "|---|---|---|---|---|---|"
    watches, begins = 4000, 300.0
    for trigger, shares in (("steps-failing", (0.7, 0.9, 1.0)), ("construction-slow", (0.03, 0.1, 0.5, 1.0))):
        for share in shares:
            cells = []
            for level in (Alarm.ALERT, Alarm.ROLLBACK):
                test = share_test(rules, level, trigger, STEPS)
                if share <= test.limit:
                    cells += ["-", "-"]
                    continue
                traffic = Traffic(5.0 / STEPS)
                times = first_alarms(
                    Tests(test, watches), watches, traffic, fault(share, begins), begins + HOUR, seed=7
                )
                took = np.where(times > begins, times - begins, np.inf)
                cells += [_seconds(took, 0.5), _seconds(took, 0.99)]
            yield f"| `{trigger}` | {share:.0%} | {' | '.join(cells)} |"


def _bursts(rules: WatchRules) -> Iterator[str]:
    yield "| share of errors | errors at a time | hours with an alert | with a rollback | of all |"
    yield "|---|---|---|---|---|"
    hours = 10000
    for share in (0.005, 0.01, 0.02):
        for burst in (2, 5, 10):
            cells = []
            for level in (Alarm.ALERT, Alarm.ROLLBACK):
                judge, traffic = Tests(share_test(rules, level), hours), Traffic(burst=burst)
                alarms = first_alarms(judge, hours, traffic, always(share), HOUR, seed=8)
                cells.append(str(int(np.isfinite(alarms).sum())))
            yield f"| {share:.1%} | {burst} | {' | '.join(cells)} | {hours} |"


def _false_alarms(rules: WatchRules) -> Iterator[str]:
    yield "| share of errors | hours with an alert | with a rollback | of all |"
    yield "|---|---|---|---|"
    hours = 10000
    for share in (0.005, 0.01, 0.02, 0.03, 0.04, 0.05):
        cells = []
        for level in (Alarm.ALERT, Alarm.ROLLBACK):
            alarms = first_alarms(Tests(share_test(rules, level), hours), hours, Traffic(), always(share), HOUR, seed=3)
            cells.append(str(int(np.isfinite(alarms).sum())))
        yield f"| {share:.1%} | {' | '.join(cells)} | {hours} |"


def _run_lengths(rules: WatchRules) -> Iterator[str]:
    yield "| stands at | requests/s | mean time to the false alarm | promised |"
    yield "|---|---|---|---|"
    watches = 4000
    for level in (Alarm.ALERT, Alarm.ROLLBACK):
        for rate in (0.1, 1.0, 5.0, 50.0):
            test = share_test(rules, level)
            alarms = first_alarms(Tests(test, watches), watches, Traffic(rate), always(test.limit), 1e9, seed=4)
            mean = f"{alarms.mean():.0f} s (standard error {alarms.std() / math.sqrt(watches):.0f} s)"
            yield f"| {test.limit:.0%} | {rate:g} | {mean} | {rules['errors'].run_length:.0f} s |"


def _others(rules: WatchRules) -> Iterator[str]:
    yield "| judge of the limit 10 % | 20 % since minute 50: median | 99 % | hours at 4 % with an alarm | hours at 10 % with one |"
    yield "|---|---|---|---|---|"
    watches = 2000
    test = share_test(rules, Alarm.ROLLBACK)
    judges: dict[str, Callable[[], Judge]] = {
        "this test": lambda: Tests(test, watches),
        "average since the beginning": lambda: Averages(test.limit, watches),
        "binomial test at 1 %, done anew at each look": lambda: Peeks(test.limit, watches, 0.01),
    }
    for name, judge in judges.items():
        begins = 3000.0
        alarms = first_alarms(judge(), watches, Traffic(), fault(0.2, begins), begins + 2 * HOUR, seed=5)
        took = np.where(alarms > begins, alarms - begins, np.inf)
        cells = [_seconds(took, 0.5), _seconds(took, 0.99)]
        for share in (0.04, test.limit):
            false = first_alarms(judge(), watches, Traffic(), always(share), HOUR, seed=6)
            cells.append(f"{np.isfinite(false).mean():.1%}")
        yield f"| {name} | {' | '.join(cells)} |"


def main() -> int:
    """Print the tables."""
    rules = promised()
    for table in (_detections, _times, _steps, _false_alarms, _bursts, _run_lengths, _others):
        for line in table(rules):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

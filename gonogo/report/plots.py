"""Pictures of measured evidence, as PNG. What is drawn follows from a criterion's measures, never from its name.

matplotlib is imported here only, and only when a picture is asked for: it takes half a second.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from gonogo.criteria import Criterion, Measure, Scope, Statistic
from gonogo.figures import limit_text, printable, quantity, shortened, statistic_name
from gonogo.model import CriterionVerdict, Decided, Sampled
from gonogo.report.markdown import NO_EVIDENCE, NOT_CLAIMED, amount, coverage_cells, mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["coverage_plot", "criterion_plot"]

_COLOURS = {"within": "#2e7d32", "outside": "#c62828", "open": "#b26a00", None: "#b26a00"}
_CELLS = {"GO": "#c8e6c9", "NO-GO": "#ef9a9a", "INCONCLUSIVE": "#ffe082"}
_DOTS = "#5c7fa8"
_WIDTH = 9.5  # inches, at 100 dots each: about the width of an Allure page
_ROW = 0.27
_MOST_ROWS = 40
_MOST_DOTS = 1500  # of one row
_MOST_LINES = 10  # as many as there are colours


@dataclass(frozen=True)
class _Row:
    """One claim in a picture: its label, the values of its sample, and the bound that was computed from them."""

    label: str
    values: tuple[float, ...]
    bound: Mapping[str, Any]

    @property
    def decision(self) -> str | None:
        decision = self.bound.get("decision")
        return None if decision is None else str(decision)

    @property
    def ends(self) -> list[float]:
        return [float(self.bound[key]) for key in ("lower", "estimate", "upper") if self.bound.get(key) is not None]


def criterion_plot(criterion: Criterion, verdict: CriterionVerdict, samples: Sequence[Sampled]) -> bytes | None:
    """A PNG with one picture per measure of the criterion and one per further sample; none where nothing was measured.

    A measure: a row per claim with its values, its confidence interval, and the limit as a line. Samples that are no
    measure: against each other where they come in twos (candidate and previous release), else as series.

    Args:
        criterion: whose measures are drawn.
        verdict: the verdict for it, with its bounds.
        samples: its samples; those of other criteria are left out.
    """
    own = [sample for sample in samples if sample.claim.criterion == criterion.id and sample.values]
    panels: list[tuple[float, Any]] = []
    for number, measure in enumerate(criterion.measures):
        rows = _rows(criterion, number, measure, verdict.claims, own)
        if any(row.values for row in rows):
            panels.append((len(rows[:_MOST_ROWS]) * _ROW + 0.95, (_draw_measure, measure, rows)))
    measured = {measure.sample for measure in criterion.measures}
    further: dict[str, list[Sampled]] = {}
    for sample in own:
        if sample.name not in measured:
            further.setdefault(sample.name, []).append(sample)
    for first, second in _paired(further):
        one, other = further.pop(first), further.pop(second)
        panels.append((4.0, (_draw_pairs, (first, second), one[0].unit, _by_step(one, other))))
    for name, found in further.items():
        if any(len(one.values) > 1 for one in found):
            panels.append((2.6, (_draw_series, name, found)))
    if not panels:
        return None
    with _matplotlib():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(_WIDTH, sum(height for height, _ in panels)), dpi=100, layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[height for height, _ in panels])
        for axis, (_, (draw, *what)) in zip(axes[:, 0], panels, strict=True):
            draw(axis, *what)
        return _png(figure)


def coverage_plot(document: Mapping[str, Any]) -> bytes:
    """A PNG of the coverage grid of ``verdict.json``: criterion x step, how much evidence each cell rests on."""
    rows = list(coverage_cells(document))
    columns = [*document["steps"], "whole run"]
    with _matplotlib():
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle

        size = (max(_WIDTH, 2.2 + 0.42 * len(columns)), 2.0 + _ROW * len(rows))
        figure = Figure(figsize=size, dpi=100, layout="constrained")
        axis = figure.subplots()
        for y, (_, claims) in enumerate(rows):
            for x, claim in enumerate(claims):
                sign = mark(claim)
                colour = "#eeeeee" if claim is None else _CELLS[claim["verdict"]]
                hatch = "////" if sign == NO_EVIDENCE else None
                square = Rectangle(
                    (x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="#888888", hatch=hatch, in_layout=False
                )
                axis.add_patch(square)
                text = sign if claim is None or not amount(claim) else _count(amount(claim))
                ink = "#666666" if claim is None else "black"
                # cells lie within their axes; to have the layout measure each of them would take a second
                axis.text(x, y, text, ha="center", va="center", fontsize=7, color=ink, in_layout=False)
        axis.set_xlim(-0.5, len(columns) - 0.5)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_xticks(range(len(columns)), [_label(one) for one in columns], rotation=55, ha="right", fontsize=8)
        axis.set_yticks(range(len(rows)), [_label(criterion) for criterion, _ in rows], fontsize=8)
        axis.tick_params(length=0)
        axis.set_title(
            "findings and samples by criterion and step; green GO, red NO-GO, yellow INCONCLUSIVE\n"
            f"hatched: {NO_EVIDENCE} no evidence at all, grey: {NOT_CLAIMED} not claimed",
            fontsize=9,
            loc="left",
        )
        return _png(figure)


def _count(number: int) -> str:
    return str(number) if number < 10_000 else f"{number / 1000:.3g}k"


def _label(text: str) -> str:
    return shortened(printable(text, keep=""), 40)


@contextmanager
def _matplotlib() -> Iterator[None]:
    """matplotlib as it comes, whatever its user's settings are; ``$`` in a name is a ``$`` and no formula."""
    with warnings.catch_warnings():
        # a glyph that its font lacks is drawn as a box; that is no reason to lose a verdict's report
        warnings.simplefilter("ignore")
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update({"text.parse_math": False, "axes.spines.top": False, "axes.spines.right": False})
            yield


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _rows(
    criterion: Criterion, number: int, measure: Measure, claims: Sequence[Decided], samples: Sequence[Sampled]
) -> list[_Row]:
    """The claims that a measure was taken for; each has one bound per measure of its scope, in their order."""
    place = sum(other.scope is measure.scope for other in criterion.measures[:number])
    rows = []
    for claim in claims:
        if (measure.scope is Scope.STEP) == (claim.claim.step is not None) and place < len(claim.bounds):
            own = [one.values for one in samples if one.claim == claim.claim and one.name == measure.sample]
            rows.append(_Row(_label(claim.claim.step or "whole run"), tuple(chain(*own)), claim.bounds[place]))
    return rows


def _draw_measure(axis: Axes, measure: Measure, rows: Sequence[_Row]) -> None:
    upper = measure.go.operator.startswith("<")
    left_out = len(rows) - _MOST_ROWS
    if left_out > 0:
        worst = sorted(range(len(rows)), key=lambda number: _badness(rows[number], upper=upper), reverse=True)
        rows = [rows[number] for number in sorted(worst[:_MOST_ROWS])]
    limit = measure.go.value
    shows_values = measure.statistic not in (Statistic.PROPORTION, Statistic.SHARE)
    drawn = [row.values if shows_values else () for row in rows]
    numbers = [value for values in drawn for value in values] + [end for row in rows for end in row.ends]
    outside = _scale_x(axis, numbers, limit, kept=[end for row in rows for end in row.ends])
    for y, row in enumerate(rows):
        if shows_values and len(row.values) > 1:
            values = _thinned(row.values)
            # dots lie above and below their row by a fixed pattern, so that a picture is the same each time
            heights = [y + 0.5 * ((k * 0.618034) % 1 - 0.5) for k in range(len(values))]
            axis.scatter(values, heights, s=3, alpha=0.3, color=_DOTS, linewidths=0)
        colour = _COLOURS[row.decision]
        if row.decision is not None:
            low, high = (row.bound[key] for key in ("lower", "upper"))
            left, right = axis.get_xlim()
            bar = [left if low is None else low, right if high is None else high]
            axis.plot(bar, [y, y], color=colour, linewidth=3, solid_capstyle="butt")
            axis.plot([row.bound["estimate"]], [y], marker="D", markersize=5, color=colour, markeredgecolor="white")
        else:
            told = f"{row.bound['n']} samples: not known"
            axis.text(0.01, y, told, transform=axis.get_yaxis_transform(), fontsize=7, va="center")
    axis.axvline(limit, color="black", linestyle="--", linewidth=1)
    axis.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=8)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    first = rows[0].bound
    title = f"{statistic_name(first)}, limit {limit_text(first)} (dashed)"
    if measure.statistic is Statistic.MAXIMUM:
        title += "; diamond: the largest value"
    else:
        title += f"; diamond: estimate, bar: from lower to upper {100 * measure.confidence:g} % bound"
    notes = [f"the {left_out} claims farthest from the limit are left out"] if left_out > 0 else []
    notes += [f"{outside} of {sum(map(len, drawn))} values lie outside the picture"] if outside else []
    _title(axis, title, notes)
    _units(axis.xaxis, measure.unit)


def _badness(row: _Row, *, upper: bool) -> float:
    """How bad a row looks on the axis; one without a bound is worst of all."""
    if not row.ends:
        return math.inf
    return max(row.ends) if upper else -min(row.ends)


def _scale_x(axis: Axes, numbers: Sequence[float], limit: float, *, kept: Sequence[float]) -> int:
    """Choose a scale, logarithmic where all is above zero and far apart. Returns how many numbers it leaves out."""
    low, high = min([*numbers, limit]), max([*numbers, limit])
    if _needs_logarithms(low, high):
        axis.set_xscale("log")
        axis.set_xlim(low / 1.3, high * 1.3)
        return 0
    ordered = sorted(numbers)
    trim = len(ordered) // 200  # half a per cent at each end, where outliers would press everything else together
    inner = [*ordered[trim : len(ordered) - trim], *kept, limit]
    low, high = min(inner), max(inner)
    room = 0.05 * (high - low) or abs(high) or 1.0
    axis.set_xlim(low - room, high + room)
    return sum(not low - room <= number <= high + room for number in numbers)


def _needs_logarithms(low: float, high: float) -> bool:
    return low > 0 and high / low > 8


def _thinned(values: Sequence[float]) -> list[float]:
    """At most ``_MOST_DOTS`` of the values, evenly by rank, both extremes among them."""
    if len(values) <= _MOST_DOTS:
        return list(values)
    ordered = sorted(values)
    return [ordered[round(k * (len(ordered) - 1) / (_MOST_DOTS - 1))] for k in range(_MOST_DOTS)]


def _paired(samples: Mapping[str, Sequence[Sampled]]) -> list[tuple[str, str]]:
    """The samples that come in twos: same unit, and for each claim and case one record of each, equally long."""
    shapes: dict[object, list[str]] = {}
    for name, records in samples.items():
        shape = {(one.claim, one.case): (one.unit, len(one.values)) for one in records}
        if len(shape) == len(records):
            shapes.setdefault(frozenset(shape.items()), []).append(name)
    return [(names[0], names[1]) for names in shapes.values() if len(names) == 2]


def _by_step(first: Sequence[Sampled], second: Sequence[Sampled]) -> dict[str, tuple[list[float], list[float]]]:
    partners = {(one.claim, one.case): one.values for one in second}
    found: dict[str, tuple[list[float], list[float]]] = {}
    for one in first:
        both = found.setdefault(one.claim.step or "whole run", ([], []))
        both[0].extend(one.values)
        both[1].extend(partners[one.claim, one.case])
    return found


def _draw_pairs(
    axis: Axes, names: tuple[str, str], unit: str, pairs: Mapping[str, tuple[list[float], list[float]]]
) -> None:
    numbers = [value for both in pairs.values() for values in both for value in values]
    above = sum(one > other for both in pairs.values() for one, other in zip(*both, strict=True))
    for number, (label, (first, second)) in enumerate(pairs.items()):
        name = _label(label) if number < _MOST_LINES else None
        axis.scatter(second, first, s=9, alpha=0.5, linewidths=0, color=_hue(number), label=name)
    low, high = min(numbers), max(numbers)
    if _needs_logarithms(low, high):
        axis.set_xscale("log")
        axis.set_yscale("log")
    axis.plot([low, high], [low, high], color="black", linestyle="--", linewidth=1)
    axis.set_xlabel(_label(names[1]), fontsize=8)
    axis.set_ylabel(_label(names[0]), fontsize=8)
    _units(axis.xaxis, unit)
    _units(axis.yaxis, unit)
    _legend(axis, len(pairs))
    _title(axis, f"{names[0]} against {names[1]}: {above} of {len(numbers) // 2} lie above the line of equals", [])


def _draw_series(axis: Axes, name: str, samples: Sequence[Sampled]) -> None:
    for number, one in enumerate(samples):
        label = _label(one.claim.step or "whole run") if number < _MOST_LINES else None
        axis.plot(range(1, len(one.values) + 1), one.values, linewidth=1, color=_hue(number), label=label)
    axis.set_xlabel("number in the series", fontsize=8)
    axis.tick_params(labelsize=8)
    _units(axis.yaxis, samples[0].unit)
    _legend(axis, len(samples))
    _title(axis, f"{name}, in the order of measuring", [])


def _hue(number: int) -> str:
    return f"C{number % 10}"


def _legend(axis: Axes, entries: int) -> None:
    if entries > 1:
        more = f"the first {_MOST_LINES} of {entries}" if entries > _MOST_LINES else None
        legend = axis.legend(fontsize=6.5, title=more, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        legend.get_title().set_fontsize(6.5)


def _title(axis: Axes, title: str, notes: Sequence[str]) -> None:
    axis.set_title("\n".join([printable(title, keep=""), *notes]), fontsize=9, loc="left")


def _units(axis: Any, unit: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator, NullFormatter

    low, high = axis.get_view_interval()
    if axis.get_scale() == "log":
        axis.set_major_locator(
            LogLocator(base=2, numticks=10) if unit == "B" else LogLocator(subs=(1, 2, 5), numticks=12)
        )
    elif unit == "B":
        axis.set_major_locator(MultipleLocator(2.0 ** math.ceil(math.log2((high - low) / 8))))
    axis.set_major_formatter(FuncFormatter(lambda value, _: printable(quantity(float(value), unit), keep="")))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(labelsize=8)
    axis.grid(True, which="major", color="#dddddd", linewidth=0.5)
    axis.axes.set_axisbelow(True)

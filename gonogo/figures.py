"""Figures and texts as a reader gets them: units, the figure that tells most, nothing that a terminal would obey."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

__all__ = [
    "bound_text",
    "claim_headline",
    "closeness",
    "deciding",
    "headline",
    "headline_bound",
    "is_decided",
    "limit_text",
    "limit_value",
    "margin_text",
    "printable",
    "quantity",
    "scaled",
    "shortened",
    "statistic_name",
]

_SCALES = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "B": ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")),
    "share": ((0.01, "%"),),
}
_ORDER = {"outside": 0, "open": 1, "within": 2}


def printable(text: str, *, keep: str = "\n\t") -> str:
    """The text with everything that is no visible character written as an escape: control sequences, lone surrogates,
    marks that turn the direction of reading."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else ascii(one)[1:-1] for one in text)


def shortened(text: str, length: int) -> str:
    """At most ``length`` characters, the last one an ellipsis where something is left out."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def scaled(value: float, unit: str) -> tuple[float, str]:
    """A value in SI units (or a share) in the unit that suits its size."""
    scales = _SCALES.get(unit, ((1.0, unit),))
    for scale, name in scales:
        if abs(value) >= scale:
            return value / scale, name
    if value:
        return value / scales[-1][0], scales[-1][1]
    return 0.0, next((name for scale, name in scales if scale == 1.0), scales[0][1])


def quantity(value: float | None, unit: str, *, digits: int = 3) -> str:
    """A value with three digits, more where its whole part has more; ``unbounded`` for none."""
    if value is None:
        return "unbounded"
    number, name = scaled(value, unit)
    return f"{_rounded(number, digits)} {name}".rstrip()


def _rounded(number: float, digits: int) -> str:
    if number and not 1e-4 <= abs(number) < 1e15:
        return f"{number:.{digits}g}"
    whole = len(str(int(abs(number))))
    return f"{Decimal(f'{number:.{max(digits, whole)}g}'):f}"


def _beside(value: float | None, limit: float, unit: str) -> str:
    """A value with as many digits as it takes to see on which side of the limit it lies."""
    if value is None:
        return "unbounded"
    number, _ = scaled(value, unit)
    factor = value / number if number else 1.0
    for digits in range(3, 17):
        shown = float(_rounded(number, digits)) * factor
        if (shown < limit, shown > limit) == (value < limit, value > limit):
            break
    return quantity(value, unit, digits=digits)


def limit_value(bound: Mapping[str, Any]) -> float:
    """The number in the limit of a bound."""
    return float(str(bound["limit"]).split()[1])


def limit_text(bound: Mapping[str, Any]) -> str:
    """The limit as people say it: ``< 1 ms``."""
    return f"{str(bound['limit']).split()[0]} {quantity(limit_value(bound), bound['unit'])}"


def _is_upper(bound: Mapping[str, Any]) -> bool:
    return str(bound["limit"]).startswith("<")


def is_decided(bound: Mapping[str, Any]) -> bool:
    """Whether there were enough samples to compute the bound at all."""
    return "decision" in bound


def deciding(bound: Mapping[str, Any]) -> float | None:
    """The end of the interval that must keep the limit for GO; none where it is unbounded."""
    value = bound["upper" if _is_upper(bound) else "lower"]
    return None if value is None else float(value)


def statistic_name(bound: Mapping[str, Any]) -> str:
    """The quantity and its statistic: ``construction p99``, ``peak max``, ``error proportion``."""
    statistic = str(bound["statistic"])
    if statistic.endswith("-quantile"):
        statistic = f"p{100 * float(statistic.removesuffix('-quantile')):g}"
    return f"{bound['sample']} {'max' if statistic == 'maximum' else statistic}"


def bound_text(bound: Mapping[str, Any], *, place: str = "") -> str:
    """A bound against its limit in a few words; ``place`` says where it was taken."""
    where = ", ".join([*([place] if place else []), f"n = {bound['n']}"])
    if not is_decided(bound):
        return f"{statistic_name(bound)} not known, limit {limit_text(bound)} ({where})"
    unit, limit = bound["unit"], limit_value(bound)
    low, high = _beside(bound["lower"], limit, unit), _beside(bound["upper"], limit, unit)
    if bound["lower"] is not None and bound["lower"] == bound["upper"]:
        figure = f"= {high}"
    elif bound["decision"] == "open":
        figure = f"in [{low}, {high}]" if bound["lower"] is not None else f"<= {high}"
    elif (bound["decision"] == "within") is _is_upper(bound):
        figure = f"<= {high}"
    else:
        figure = f">= {low}"
    return f"{statistic_name(bound)} {figure}, limit {limit_text(bound)} ({where})"


def margin_text(bound: Mapping[str, Any]) -> str:
    """How far the deciding end of the interval keeps away from the limit; negative where it does not keep it."""
    if not is_decided(bound) or (value := deciding(bound)) is None:
        return "none"
    limit = limit_value(bound)
    distance = limit - value if _is_upper(bound) else value - limit
    return quantity(distance, bound["unit"])


def closeness(bound: Mapping[str, Any]) -> tuple[int, float, float]:
    """What sorts the bound first that tells most: one outside its limit, one that is open, else the smallest margin."""
    if not is_decided(bound):
        return _ORDER["open"], float("inf"), float("inf")
    value, limit = deciding(bound), limit_value(bound)
    if value is None:
        return _ORDER[bound["decision"]], float("-inf"), float("-inf")
    distance = limit - value if _is_upper(bound) else value - limit
    # measures with different units are compared by share of their limits; a limit of zero leaves only the side
    return _ORDER[bound["decision"]], distance / (abs(limit) or abs(value) or 1.0), distance


def headline_bound(criterion: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None] | None:
    """The bound that lies worst to its limit and the step that it belongs to, of a criterion of ``verdict.json``."""
    pairs = [(bound, claim["step"]) for claim in criterion["claims"] for bound in claim["bounds"]]
    return min(pairs, key=lambda pair: closeness(pair[0]), default=None)


def headline(criterion: Mapping[str, Any]) -> str:
    """One line about a criterion of ``verdict.json``: the figure that its verdict rests on, else the first reason."""
    found = headline_bound(criterion)
    findings = sum(claim["findings"] for claim in criterion["claims"])
    failing = sum(claim["failing"] for claim in criterion["claims"])
    bound, step = found or (None, None)
    return _headline(criterion, bound, findings, failing, place=step or "")


def claim_headline(claim: Mapping[str, Any]) -> str:
    """One line about a claim of ``verdict.json``."""
    bound = min(claim["bounds"], key=closeness, default=None)
    return _headline(claim, bound, claim["findings"], claim["failing"])


def _headline(
    judged: Mapping[str, Any], bound: Mapping[str, Any] | None, findings: int, failing: int, *, place: str = ""
) -> str:
    verdict = judged["verdict"]
    tells = {"GO": "within", "NO-GO": "outside", "INCONCLUSIVE": "open"}[verdict]
    if bound is not None and bound.get("decision") == tells:
        return bound_text(bound, place=place)
    if verdict == "NO-GO" and failing:
        return f"{failing} of {findings} findings fail"
    if verdict == "GO":
        return f"{findings} of {findings} findings ok"
    return printable(" ".join(judged["reasons"][0].split())) if judged["reasons"] else "no reason given"

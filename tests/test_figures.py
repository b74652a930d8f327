"""gonogo.figures: units, digits, the figure that tells most, and texts that nobody obeys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.figures import (
    bound_text,
    claim_headline,
    headline,
    margin_text,
    printable,
    quantity,
    scaled,
    shortened,
)


def bound(**changes: object) -> dict[str, object]:
    plain: dict[str, object] = {
        "sample": "time",
        "statistic": "0.99-quantile",
        "limit": "< 0.001",
        "unit": "s",
        "n": 600,
        "estimate": 0.0002,
        "lower": 0.00015,
        "upper": 0.00025,
        "confidence": 0.95,
        "method": "order statistics",
        "decision": "within",
    }
    return plain | changes


def claim(
    *bounds: object, verdict: str = "GO", step: str | None = "meta", findings: int = 0, failing: int = 0
) -> dict[str, object]:
    return {
        "step": step,
        "verdict": verdict,
        "bounds": list(bounds),
        "findings": findings,
        "failing": failing,
        "reasons": [] if verdict == "GO" else ["the first\nreason", "another"],
    }


def criterion(*claims: dict[str, object], verdict: str = "GO") -> dict[str, object]:
    return {
        "verdict": verdict,
        "claims": list(claims),
        "reasons": [] if verdict == "GO" else ["meta: the first\nreason"],
    }


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.000277, "s", "277 µs"),
        (0.0009996, "s", "1000 µs"),
        (1.5, "s", "1.5 s"),
        (0.0, "s", "0 s"),
        (-0.0000125, "s", "-12.5 µs"),
        (3e-10, "s", "0.3 ns"),
        (0.0, "B", "0 B"),
        (1023.0, "B", "1023 B"),
        (65536.0, "B", "64 KiB"),
        (1_023_900.0, "B", "1000 KiB"),
        (3.5 * 2**20, "B", "3.5 MiB"),
        (0.00422, "share", "0.422 %"),
        (0.0, "share", "0 %"),
        (123456.0, "requests", "123456 requests"),
        (2.0, "", "2"),
        (1e-12, "widgets", "1e-12 widgets"),
        (None, "s", "unbounded"),
    ],
)
def test_a_quantity_comes_in_the_unit_that_suits_it_and_never_loses_its_whole_part(
    value: float | None, unit: str, shown: str
) -> None:
    assert quantity(value, unit) == shown


@given(st.floats(min_value=-1e200, max_value=1e200), st.sampled_from(["s", "B", "share", "widgets", ""]))
def test_a_quantity_keeps_three_digits_of_every_finite_number(value: float, unit: str) -> None:
    number, _ = scaled(value, unit)
    assert float(quantity(value, unit).split()[0]) == pytest.approx(number, rel=0.006, abs=1e-300)


def test_a_bound_just_inside_its_limit_is_not_rounded_onto_it() -> None:
    assert bound_text(bound(upper=0.00099996)) == "time p99 <= 999.96 µs, limit < 1 ms (n = 600)"
    text = bound_text(bound(lower=0.00100004, upper=0.002, decision="outside"))
    assert text == "time p99 >= 1.00004 ms, limit < 1 ms (n = 600)"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "time p99 <= 250 µs, limit < 1 ms (n = 600)"),
        ({"decision": "outside", "lower": 0.002, "upper": 0.003}, "time p99 >= 2 ms, limit < 1 ms (n = 600)"),
        ({"decision": "open", "upper": 0.003}, "time p99 in [150 µs, 3 ms], limit < 1 ms (n = 600)"),
        ({"decision": "open", "upper": None}, "time p99 in [150 µs, unbounded], limit < 1 ms (n = 600)"),
        (
            {"limit": ">= 0.95", "unit": "share", "statistic": "proportion", "lower": 0.97, "upper": 0.99},
            "time proportion >= 97 %, limit >= 95 % (n = 600)",
        ),
        (
            {
                "limit": "> 0.95",
                "unit": "share",
                "statistic": "median",
                "lower": 0.1,
                "upper": 0.2,
                "decision": "outside",
            },
            "time median <= 20 %, limit > 95 % (n = 600)",
        ),
        (
            {"statistic": "maximum", "unit": "B", "limit": "<= 1024", "lower": 512.0, "upper": 512.0},
            "time max = 512 B, limit <= 1 KiB (n = 600)",
        ),
    ],
)
def test_a_bound_is_told_by_the_end_that_decides(changes: dict[str, object], text: str) -> None:
    assert bound_text(bound(**changes)) == text


def test_a_bound_that_could_not_be_computed_says_so() -> None:
    short = {key: value for key, value in bound(n=3).items() if key in ("sample", "statistic", "limit", "unit", "n")}
    assert bound_text(short) == "time p99 not known, limit < 1 ms (n = 3)"
    assert margin_text(short) == "none"


def test_the_margin_is_the_way_to_the_limit_and_negative_beyond_it() -> None:
    assert margin_text(bound()) == "750 µs"
    assert margin_text(bound(upper=0.003)) == "-2 ms"
    assert margin_text(bound(upper=None)) == "none"
    assert margin_text(bound(limit=">= 0.95", unit="share", lower=0.97)) == "2 %"


def test_the_headline_of_a_criterion_is_the_bound_nearest_to_its_limit() -> None:
    near = claim(bound(upper=0.0009), step="structure")
    assert headline(criterion(claim(bound()), near)) == "time p99 <= 900 µs, limit < 1 ms (structure, n = 600)"


def test_the_headline_compares_measures_of_different_units_by_share_of_their_limits() -> None:
    large_but_far = bound(sample="peak", unit="B", limit="<= 65536", upper=1000.0)
    near = bound(sample="time", upper=0.0009)
    assert headline(criterion(claim(large_but_far, near, step=None))).startswith("time p99")


def test_the_headline_looks_at_the_lower_end_where_more_is_better() -> None:
    bounds = [bound(limit=">= 0.5", unit="share", lower=low, upper=1.0) for low in (0.9, 0.6)]
    assert "60 %" in headline(criterion(claim(*bounds)))


def test_the_headline_of_a_limit_of_zero_is_the_largest_excess() -> None:
    bounds = [bound(limit="<= 0", upper=upper, lower=-0.01) for upper in (-0.005, -0.001, -0.003)]
    assert "<= -1 ms" in headline(criterion(claim(*bounds)))


def test_an_unbounded_figure_comes_before_every_other_open_one() -> None:
    claims = [claim(bound(decision="open", upper=upper), verdict="INCONCLUSIVE") for upper in (0.5, None, 0.9)]
    assert "unbounded" in headline(criterion(*claims, verdict="INCONCLUSIVE"))


def test_the_headline_of_findings_counts_them() -> None:
    assert headline(criterion(claim(findings=7), claim(findings=6))) == "13 of 13 findings ok"
    failing = criterion(claim(findings=7, failing=2, verdict="NO-GO"), claim(findings=6), verdict="NO-GO")
    assert headline(failing) == "2 of 13 findings fail"


def test_the_headline_of_a_failing_finding_does_not_boast_of_a_bound_that_holds() -> None:
    judged = criterion(claim(bound(), findings=4, failing=1, verdict="NO-GO"), verdict="NO-GO")
    assert headline(judged) == "1 of 4 findings fail"


def test_the_headline_of_what_is_not_known_is_its_first_reason_on_one_line() -> None:
    judged = criterion(claim(bound(), verdict="INCONCLUSIVE"), verdict="INCONCLUSIVE")
    assert headline(judged) == "meta: the first reason"
    assert claim_headline(claim(verdict="INCONCLUSIVE")) == "the first reason"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ümläut, 漢字, 😀", "plain, ümläut, 漢字, 😀"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("lone \ud800", "lone \\ud800"),
        ("turned \u202e round", "turned \\u202e round"),
        ("line\r\n\tnext", "line\\r\n\tnext"),
        ("line\u2028next", "line\\u2028next"),
    ],
)
def test_what_is_no_visible_character_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_a_printable_text_can_be_encoded_and_is_printable_itself(text: str) -> None:
    once = printable(text, keep="")
    assert once.isprintable()
    once.encode("utf-8")
    assert printable(once) == once


@given(st.text(), st.integers(min_value=1, max_value=30))
def test_a_shortened_text_is_not_longer_than_asked(text: str, length: int) -> None:
    assert len(shortened(text, length)) <= length
    assert shortened(text, len(text)) == text

"""gonogo.report.plots: pictures follow from measures, and are PNG whatever the evidence holds."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace

import pytest
from matplotlib import image
from sample_run import MakeRun, SampleRun, good_evidence, with_samples, without

from gonogo.model import Claim, CriterionVerdict, Sampled
from gonogo.report.plots import coverage_plot, criterion_plot


def plot(run: SampleRun, criterion: str) -> bytes | None:
    samples = [record for record in run.run.evidence if isinstance(record, Sampled)]
    return criterion_plot(run.run.criteria[criterion], verdict_of(run, criterion), samples)


def verdict_of(run: SampleRun, criterion: str) -> CriterionVerdict:
    return next(one for one in run.verdict.criteria if one.criterion == criterion)


def size(png: bytes | None) -> tuple[int, int]:
    """Width and height of a PNG that a reader can decode."""
    assert png is not None
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    height, width = image.imread(io.BytesIO(png), format="png").shape[:2]
    return width, height


@pytest.mark.parametrize("criterion", ["speed", "excess", "memory", "error-rate"])
def test_every_measured_criterion_has_a_picture_that_fits_a_page(make_run: MakeRun, criterion: str) -> None:
    width, height = size(plot(make_run(good_evidence()), criterion))
    assert width == 950
    assert 100 < height < 2000


@pytest.mark.parametrize("criterion", ["prompt-structure", "report-integrity"])
def test_a_criterion_of_findings_has_none(make_run: MakeRun, criterion: str) -> None:
    assert plot(make_run(good_evidence()), criterion) is None


def test_samples_that_come_in_twos_and_series_have_pictures_of_their_own(make_run: MakeRun) -> None:
    run = make_run(good_evidence())
    assert size(plot(run, "excess"))[1] > size(plot(run, "speed"))[1] + 300
    bare = [one for one in good_evidence() if not (isinstance(one, Sampled) and one.name == "kept")]
    assert size(plot(run, "memory"))[1] > size(plot(make_run(bare, number=2), "memory"))[1] + 200


def test_the_same_evidence_gives_the_same_picture(make_run: MakeRun) -> None:
    run = make_run(good_evidence())
    assert plot(run, "speed") == plot(run, "speed")


def test_other_values_give_another_picture(make_run: MakeRun) -> None:
    slower = with_samples(good_evidence(), Claim("speed", "meta"), "time", [0.002] * 60)
    assert plot(make_run(slower), "speed") != plot(make_run(good_evidence(), number=2), "speed")


@pytest.mark.parametrize(
    "values",
    [
        [0.0] * 60,
        [0.0005],
        [-0.001, 0.0, 0.002] * 20,
        [1e-300, 1e300, *([0.0002] * 60)],
        [float(n % 977) / 1e6 for n in range(20_000)],
    ],
    ids=["all zero", "too few", "both sides of zero", "extremes", "very many"],
)
def test_odd_values_still_give_a_picture(make_run: MakeRun, values: list[float]) -> None:
    size(plot(make_run(with_samples(good_evidence(), Claim("speed", "meta"), "time", values)), "speed"))


def test_a_claim_without_samples_keeps_its_row(make_run: MakeRun) -> None:
    run = make_run(good_evidence())
    fewer = make_run(without(good_evidence(), Claim("speed", "meta")), number=2)
    assert size(plot(fewer, "speed")) == size(plot(run, "speed"))


def test_a_criterion_whose_samples_are_all_missing_has_no_picture(make_run: MakeRun) -> None:
    evidence = [one for one in good_evidence() if not isinstance(one, Sampled)]
    assert plot(make_run(evidence), "speed") is None


def test_a_workflow_of_very_many_steps_gives_a_bounded_picture(make_run: MakeRun) -> None:
    run = make_run(good_evidence())
    verdict = verdict_of(run, "speed")
    steps = [f"step-{number}" for number in range(300)]
    claims = tuple(replace(verdict.claims[0], claim=Claim("speed", step)) for step in steps)
    samples = [Sampled(Claim("speed", step), "time", "s", (0.0001, 0.0002)) for step in steps]
    _, height = size(criterion_plot(run.run.criteria["speed"], replace(verdict, claims=claims), samples))
    assert height < 1400


def test_names_may_hold_any_sign(make_run: MakeRun) -> None:
    odd = Sampled(Claim("speed", "meta"), "$\\frac{1}$ 漢字 \x00 \ud800", "s", (1.0, 2.0))
    size(plot(make_run([*good_evidence(), odd]), "speed"))


def test_the_coverage_grid_is_drawn_whatever_is_missing(make_run: MakeRun) -> None:
    whole = coverage_plot(make_run(good_evidence()).document)
    empty = coverage_plot(make_run([], number=2).document)
    assert size(whole) == size(empty)
    assert whole != empty


def test_a_reader_s_settings_change_nothing(make_run: MakeRun) -> None:
    import matplotlib

    run = make_run(good_evidence())
    before = plot(run, "speed")
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 30}):
        assert plot(run, "speed") == before
        assert matplotlib.rcParams["font.size"] == 30


def test_matplotlib_is_not_loaded_before_a_picture_is_asked_for() -> None:
    code = "import sys, gonogo.report.plots, gonogo.report.allure; raise SystemExit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""gonogo.report.terminal: what stands at the end of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_run import CRITERIA, MakeRun, good_evidence, with_errors, without

from gonogo.model import Claim, Finding, Gap, Judged
from gonogo.report.terminal import render

RUN = Path("/srv/reports/runs/20261123T070001.000Z-pre")


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_line_is_wider_than_the_terminal(make_run: MakeRun, width: int) -> None:
    bad = Judged(Claim("prompt-structure", "meta"), "meta/one", Finding("check", False, "word " * 80 + "x" * 150))
    text = render(make_run([*good_evidence(), bad]).document, RUN, width=width, color=False)
    assert max(len(line) for line in text.splitlines()) <= width
    assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_every_criterion_and_verdict_stands_whole_in_eighty_columns(make_run: MakeRun) -> None:
    text = render(make_run(without(good_evidence(), Claim("speed", "meta"))).document, RUN, width=80, color=False)
    lines = text.splitlines()
    starts = [next(line for line in lines if line.startswith(f"{criterion} ")) for criterion in CRITERIA]
    assert [line.split()[1] for line in starts] == ["GO", "GO", "INCONCLUSIVE", "GO", "GO", "GO", "GO"]
    assert starts[2].split()[2] == "2/3"


def test_a_narrow_terminal_does_not_cut_anything(make_run: MakeRun) -> None:
    document = make_run(good_evidence()).document
    assert render(document, RUN, width=20, color=False) == render(document, RUN, width=80, color=False)


def test_the_verdict_is_the_last_line_before_evidence_and_digest(make_run: MakeRun) -> None:
    run = make_run(good_evidence())
    lines = render(run.document, RUN, width=80, color=False).splitlines()
    assert lines[-3:] == ["GO  all 6 required criteria hold", f"evidence: {RUN}", f"digest:   {run.digest}"]


def test_the_path_of_the_run_is_never_broken(make_run: MakeRun) -> None:
    long = Path("/srv") / ("deep/" * 40)
    assert f"evidence: {long}" in render(make_run(good_evidence()).document, long, width=80, color=False).splitlines()


def test_the_verdict_line_counts_and_names_what_does_not_hold(make_run: MakeRun) -> None:
    evidence = with_errors(good_evidence(), [1.0] * 400)
    evidence = without(without(evidence, Claim("speed", "meta")), Claim("hygiene", "meta"))
    text = render(make_run(evidence).document, RUN, width=200, color=False)
    expected = (
        "NO-GO  1 of 6 required criteria is NO-GO: error-rate; 1 of 6 required criteria is INCONCLUSIVE: speed; "
        "advisory and not GO: hygiene"
    )
    assert expected in text.splitlines()


def test_reasons_are_told_in_full_below_the_table(make_run: MakeRun) -> None:
    reason = "the heading TASK: stands twice, in lines 12 and 40 of the prompt, " * 3
    bad = Judged(Claim("prompt-structure", "meta"), "meta/one", Finding("check", False, reason.strip(", ")))
    text = render(make_run([*good_evidence(), bad]).document, RUN, width=80, color=False)
    assert " ".join(reason.strip(", ").split()) in " ".join(text.split())
    assert "1 of 7 findings fail" in text


def test_an_advisory_criterion_is_marked_as_one(make_run: MakeRun) -> None:
    text = render(make_run(good_evidence()).document, RUN, width=120, color=False)
    assert "advisory; 6 of 6 findings ok" in text


def test_nothing_in_a_reason_is_markup_or_a_control_sequence(make_run: MakeRun) -> None:
    hostile = "[bold]x[/bold] [link=http://y]z[/link] :smile: \x1b[2J\x1b]0;owned\x07 \ud800 \u202e"
    gap = Gap(Claim("speed", "meta"), "meta/one", hostile)
    for color in (False, True):
        text = render(
            make_run([*good_evidence(), gap], number=1 + color, notes=[hostile]).document, RUN, width=200, color=color
        )
        assert "[bold]x[/bold] [link=http://y]z[/link] :smile:" in text
        assert "\x1b[2J" not in text
        assert "\x1b]" not in text
        assert "\u202e" not in text
        assert text.encode("utf-8")


def test_color_is_only_there_where_it_is_asked_for(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    document = make_run(good_evidence()).document
    assert "\x1b" not in render(document, RUN, width=80, color=False)
    assert "\x1b[1;32mGO" in render(document, RUN, width=80, color=True)


def test_the_proof_stands_in_one_line_under_the_table(make_run: MakeRun) -> None:
    document = make_run(good_evidence()).document
    assert "proof" not in document, "a run that did not look for a proof says nothing of one"
    lines = render({**document, "proof": {"says": "no proof: \x1b[31mrun"}}, RUN, width=80, color=False).splitlines()
    place = lines.index("no proof: \\x1b[31mrun")
    assert lines[place - 2].startswith("report-integrity ")

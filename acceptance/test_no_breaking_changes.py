"""Whatever worked in the previous release works in this one."""

from __future__ import annotations

import json

import pytest

from gonogo.blast import Pair, blast_radius
from gonogo.checks import same_text
from gonogo.errors import ProductError, TargetError, WorkerDied
from gonogo.model import Finding

pytestmark = pytest.mark.criterion("no-breaking-changes")

CHECK = "compatibility"


def test_a_step_asks_the_same_model_for_the_same_and_stores_it_in_the_same_place(
    step, cases, candidate, baseline, llm, definitions, evidence
):
    script = llm.script(step, any_model=True)
    recorded = definitions.recordings[baseline.release.version]
    for case in cases[:3]:
        with evidence.about(case):
            now = candidate.run(case, script=script)
            evidence.add(case, _compatible(step, case, baseline.run(case, script=script), now))
            if recording := recorded.of_case(step.id, case.id):
                evidence.add(case, _asked_as_recorded(recording.request, now))


def test_endpoints_and_definitions_of_the_previous_release_are_still_there(
    candidate, baseline, cases, grammar, evidence
):
    before, now = baseline.describe(), candidate.describe()
    for kind in ("endpoints", "answers", "steps", "metrics"):
        evidence.add(None, _kept(kind, before.get(kind), now.get(kind)))
    prompts = zip(cases, _prompts(baseline, cases), _prompts(candidate, cases), strict=True)
    reached = blast_radius(grammar, (Pair(case.path, before, after) for case, before, after in prompts))
    evidence.attach("blast-radius.txt", "text", reached.text)


def _prompts(target, cases):
    """For a look at what the change reaches, which decides nothing: a release that fails here fails its own criteria."""
    gone = None
    for case in cases:
        try:
            yield gone or target.construct(case).prompt
        except WorkerDied as error:  # each further question would start another worker that dies
            gone = str(error)
            yield gone
        except (ProductError, TargetError) as error:
            yield str(error)


def _compatible(step, case, before, now):
    yield Finding(
        CHECK,
        now.run.succeeded or not before.run.succeeded,
        f"the run ended with {now.run.status}, before with {before.run.status}",
    )
    yield same_text(CHECK, "the output", *(json.dumps(ran.run.output, sort_keys=True) for ran in (before, now)))
    stored, stored_before = (
        {name: value for name, value in run.state_after.items() if name.startswith("field ")}
        for run in (now.run, before.run)
    )
    lost = sorted(name for name, value in stored_before.items() if stored.get(name) != value)
    yield Finding(CHECK, not lost, f"stored differently: {', '.join(lost)}" if lost else "the same fields are stored")
    asked, asked_before = (_without_prompt(ran.exchanges[-1].request) for ran in (now, before))
    yield Finding(CHECK, asked == asked_before, f"model and parameters are {asked}, before {asked_before}")
    shown, shown_before = now.prompt or "", before.prompt or ""
    gone = [
        name
        for name, value in case.inputs.items()
        if value.strip() and value in shown_before and not all(line.strip() in shown for line in value.splitlines())
    ]
    yield Finding(
        CHECK,
        not gone,
        f"no longer reaches the model: {', '.join(gone)}" if gone else "every input that reached the model still does",
    )


def _without_prompt(request):
    return {name: value for name, value in request.body.items() if name not in ("prompt", "messages", "system")}


def _asked_as_recorded(request, now):
    """What the previous release sent when it was recorded; where it shares code with this one, it may send something else now."""
    asked, recorded = _without_prompt(now.exchanges[-1].request), _without_prompt(request)
    return Finding(CHECK, asked == recorded, f"model and parameters are {asked}, recorded are {recorded}")


def _kept(kind, before, now):
    if not before:
        return Finding(
            CHECK, False, f"the previous release tells nothing of its {kind}; there is nothing to compare with"
        )
    lost = _lost(before, now)
    return Finding(
        CHECK, not lost, f"{kind}: changed or gone: {'; '.join(lost[:5])}" if lost else f"{kind}: all still there"
    )


def _lost(before, now, place=""):
    """What stands in ``before`` and not, or otherwise, in ``now``. What is new does not count."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [one for key in before for one in _lost(before[key], now.get(key), f"{place}.{key}" if place else key)]
    if isinstance(before, list) and isinstance(now, list):
        by_id = {one["id"]: one for one in now if isinstance(one, dict) and "id" in one}
        if by_id and all(isinstance(one, dict) and "id" in one for one in before):
            return [lost for one in before for lost in _lost(one, by_id.get(one["id"]), f"{place}{one['id']}")]
        return [f"{place} {one}".strip() for one in before if one not in now]
    return [] if before == now else [f"{place}: {now!r}, before {before!r}"]

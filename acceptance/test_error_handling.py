"""Whatever the model does, the caller gets a clear, typed error and the database stays as it was."""

from __future__ import annotations

import json

import pytest

from gonogo.checks import nothing_internal, same_text
from gonogo.errors import EvidenceGap
from gonogo.model import Finding
from gonogo.replies import json_in, reply_conforms
from gonogo.stub import LlmFault
from gonogo.stub.faults import INTERNAL
from gonogo.targets.faults import ENVIRONMENT

# A short cause helps a user. These help nobody whom an answer is meant for.
SECRETS = {"the body of the model's error": INTERNAL, "the environment": ENVIRONMENT["GONOGO_PLANTED"]}

pytestmark = pytest.mark.criterion("error-handling")


def test_every_fault_of_the_model_is_a_typed_error_and_changes_nothing(
    step, cases, criterion, candidate, llm, evidence
):
    for number, fault in enumerate(LlmFault):
        case = cases[number % len(cases)]
        with evidence.about(case):
            text = llm.reply_to(step)
            ran = candidate.run(case, script=llm.script(step, text), fault=fault)
            evidence.add(case, _recorded(fault.value, ran))
            if fault.only_delays:
                evidence.add(case, _stored(step, text, ran.run))
                continue
            expected = criterion.integer("timeout_status" if fault is LlmFault.TIMEOUT else "failure_status")
            evidence.add(case, _refused(fault.value, step, ran.run, expected))
            evidence.add(case, _keeps_to_itself(fault.value, ran))
    for case, text in zip(cases, _wrong_replies(step, llm), strict=False):
        with evidence.about(case):
            ran = candidate.run(case, script=llm.script(step, text))
            evidence.add(case, _refused("wrong schema", step, ran.run, criterion.integer("failure_status")))
            evidence.add(case, _keeps_to_itself("wrong schema", ran))
            evidence.add(case, _recorded("wrong schema", ran))
    for case, text in _good_replies(step, cases, llm):
        with evidence.about(case):
            ran = candidate.run(case, script=llm.script(step, text))
            evidence.add(case, _stored(step, text, ran.run))
            evidence.add(case, _recorded("a good reply", ran))


def _good_replies(step, cases, llm):
    """Each case with its recorded reply, where that is one that the output format admits; one case in any event."""
    recorded = [(case, llm.recordings.of_case(step.id, case.id)) for case in cases]
    good = [
        (case, one.reply.text)
        for case, one in recorded
        if one and reply_conforms(one.reply.text, step.output_format).ok
    ]
    good = good or [(cases[0], llm.reply_to(step))]
    case, text = good[0]
    return [*good, *((case, longer) for longer in _very_long(text, step.output_format))]


def _read(text, template):
    """The value that a stored text stands for; the text itself where it should be JSON and is none."""
    try:
        return text if template.is_plain_text else json.loads(text)
    except ValueError:
        return text


def _very_long(text, template):
    """The reply with one of its texts made so long that nobody who cuts replies off would leave it whole, if one may be."""
    value = text.strip() if template.is_plain_text else json_in(text)
    for longer in _lengthened(value):
        written = longer if template.is_plain_text else json.dumps(longer, ensure_ascii=False)
        if reply_conforms(written, template).ok:
            yield written
            return


def _lengthened(value):
    """The value again and again, each time with another one of its texts very long."""
    if isinstance(value, str):
        yield value + " and so on" * 3000
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from ([*value[:index], longer, *value[index + 1 :]] for longer in _lengthened(one))
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from ({**value, name: longer} for longer in _lengthened(one))


def _wrong_replies(step, llm):
    """Replies that the output format does not admit: recorded ones and made-up ones."""
    recorded = [one.reply.text for one in llm.recordings.recordings if one.step == step.id]
    made_up = ['{"unexpected": [1, 2, 3]}', "[]", "[{}]", '"x"', "x", "Sorry, I cannot do that."]
    return [text for text in (*recorded, *made_up) if not reply_conforms(text, step.output_format).ok]


def _refused(what, step, run, expected):
    check = "typed error"
    error = run.error or {}
    yield Finding(check, run.status == expected, f"{what}: answered {run.status}, expected is {expected}")
    named = (
        error.get("step") == step.id
        and error.get("model") == step.model
        and error.get("attempt")
        and error.get("cause")
    )
    typed = bool(named and error.get("code") and error.get("message") and error["code"] != "internal-error")
    yield Finding(
        check,
        typed,
        f"{what}: {error.get('code')}"
        if typed
        else f"{what}: the error does not name code, step, model, attempt and cause: {error}",
    )
    trace = "Traceback" in json.dumps(error)
    yield Finding(check, not trace, f"{what}: the error holds a stack trace" if trace else f"{what}: no stack trace")
    changed = sorted(
        name
        for name in {*run.state_before, *run.state_after}
        if run.state_before.get(name) != run.state_after.get(name)
    )
    yield Finding(
        "database",
        not changed,
        f"{what}: changed {', '.join(changed)}" if changed else f"{what}: nothing stored was changed",
    )
    if run.runs_recorded is None:
        raise EvidenceGap(
            "nothing tells how many runs are recorded; name a counter that never goes back: runs, under [target.metric_names]"
        )
    yield Finding("database", run.runs_recorded == 1, f"{what}: {run.runs_recorded} run records, expected is 1")


def _keeps_to_itself(what, ran):
    answer = ran.run.answer or json.dumps(ran.run.error)
    return nothing_internal("nothing internal", what, answer, ran.prompt or "", SECRETS)


def _recorded(what, ran):
    """What is said of a run afterwards is what was said at once; an application that keeps no records claims nothing."""
    run, check = ran.run, "run record"
    if run.record is None:
        return
    if not run.record:
        yield Finding(check, False, f"{what}: the answer names no run whose record can be read")
        return
    expected = {"status": "succeeded" if run.succeeded else "failed", "error": (run.error or {}).get("code")}
    for name, value in expected.items():
        said = run.record.get(name)
        yield Finding(check, said == value, f"{what}: the record says {name} {said!r}, the answer said {value!r}")
    yield same_text(check, f"{what}: the prompt in the record", ran.prompt or "", run.record.get("prompt") or "")


def _stored(step, text, run):
    """The other way round, so that the silence above is known to mean something: a good reply is stored, as it is."""
    field = f"field {step.output_field}"
    stored = run.succeeded and field in run.state_after and run.state_before != run.state_after
    yield Finding(
        "database", stored, "a good reply is stored" if stored else f"a good reply was not stored: {run.error}"
    )
    expected = text.strip() if step.output_format.is_plain_text else json_in(text)
    found = run.stored.get(step.output_field, "")
    for what, value in (("the output", run.output), ("what is stored", _read(found, step.output_format))):
        yield same_text("output", what, json.dumps(expected, sort_keys=True), json.dumps(value, sort_keys=True))
    others = sorted(
        name
        for name in {*run.state_before, *run.state_after} - {field}
        if run.state_before.get(name) != run.state_after.get(name)
    )
    yield Finding(
        "database", not others, f"changed besides: {', '.join(others)}" if others else "nothing else was changed"
    )

"""Sign-offs: what holds, what does not and why, and text that is added without touching what is there."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.errors import DefinitionError
from gonogo.model import Status
from gonogo.signoffs import (
    Complaint,
    Severity,
    SignOff,
    SignOffs,
    load_signoffs,
    open_complaints,
    parse_signoffs,
    standing,
    with_complaint,
    with_resolution,
    with_signoff,
)

TODAY = date(2026, 11, 25)
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
REVIEW = SignOff("code-review", "2.0.0", "Jo", "https://example.com/review/1", date(2026, 11, 20), date(2026, 12, 20))
COMPLAINT = Complaint("20261125-1", "2.0.0", Severity.SIGNIFICANT, "Ada", "Titles are in Latin.", NOON)
FILE = Path("signoffs.toml")
TEXT = """\
# who signs

[[signoff]]
kind = "code-review"   # by two people
release = "2.0.0"
by = "Jo"
link = "https://example.com/review/1"
given = 2026-11-20
until = 2026-12-20

[[complaint]]
id = "20261125-1"
release = "2.0.0"
severity = "significant"
by = "Ada"
text = "Titles are in Latin."
received = 2026-11-25T12:00:00+00:00
"""


def parsed(text: str) -> SignOffs:
    return parse_signoffs(text.encode(), FILE)


def gaps(*signoffs: SignOff, kinds: tuple[str, ...] = ("code-review",)) -> tuple[str, ...]:
    found = standing(SignOffs(signoffs), kinds, "2.0.0", TODAY)
    assert found.status is (Status.INCONCLUSIVE if found.gaps else Status.GO)
    return found.gaps


class TestStanding:
    def test_a_signature_that_holds_is_go_and_says_who_what_until_when_and_where(self) -> None:
        found = standing(SignOffs((REVIEW,)), ["code-review"], "2.0.0", TODAY)
        assert found.status is Status.GO
        assert [one.reason for one in found.findings] == [
            "code-review: Jo signed 2.0.0 on 2026-11-20, until 2026-12-20 (https://example.com/review/1)"
        ]

    @pytest.mark.parametrize("today", [REVIEW.given, REVIEW.until])
    def test_the_first_and_the_last_day_count(self, today: date) -> None:
        assert standing(SignOffs((REVIEW,)), ["code-review"], "2.0.0", today).status is Status.GO

    def test_what_nobody_signed_is_open_and_says_how_to_sign(self) -> None:
        assert gaps() == (
            "code-review: nobody has signed 2.0.0; gonogo signoff code-review --by NAME --link URL --until DATE",
        )

    def test_another_release_is_not_this_one(self) -> None:
        [gap] = gaps(replace(REVIEW, release="1.9.0"))
        assert gap.startswith("code-review: nobody has signed 2.0.0 (signed is 1.9.0)")

    def test_a_kind_that_is_written_otherwise_is_named(self) -> None:
        [gap] = gaps(replace(REVIEW, kind="code-reveiw"))
        assert "(did you mean 'code-reveiw'?)" in gap

    @pytest.mark.parametrize(
        ("bad", "said"),
        [
            ({"until": date(2026, 11, 24)}, "does not hold on 2026-11-25: expired on 2026-11-24"),
            ({"given": date(2026, 11, 26)}, "given = 2026-11-26 is still to come"),
            ({"until": date(2026, 11, 19)}, "until = 2026-11-19 lies before given = 2026-11-20"),
            ({"link": ""}, "has no link; say where what was signed can be read"),
            ({"link": "ask Jo"}, "link = 'ask Jo' is no http or https URL"),
            ({"link": "ftp://example.com/x"}, "is no http or https URL"),
            ({"link": "https://"}, "is no http or https URL"),
            ({"link": "https://[::1"}, "is no http or https URL"),
            ({"link": "https://example.com/a b"}, "is no http or https URL"),
            ({"by": " "}, "code-review for 2.0.0 does not hold on 2026-11-25: by is blank"),
        ],
    )
    def test_a_signature_that_does_not_hold_says_why(self, bad: dict[str, str], said: str) -> None:
        [gap] = gaps(replace(REVIEW, **bad))  # type: ignore[arg-type]  # a field of each kind
        assert said in gap

    def test_every_flaw_of_a_signature_is_said(self) -> None:
        [gap] = gaps(replace(REVIEW, by="", link="", until=date(2026, 11, 24)))
        assert gap.count(";") >= 3
        assert "expired" in gap

    def test_a_renewed_signature_holds_whatever_became_of_the_old_one(self) -> None:
        assert gaps(replace(REVIEW, until=date(2026, 11, 21)), REVIEW) == ()

    def test_each_kind_needs_a_signature_of_its_own(self) -> None:
        found = standing(SignOffs((REVIEW,)), ["code-review", "training"], "2.0.0", TODAY)
        assert found.status is Status.INCONCLUSIVE
        assert [gap.partition(":")[0] for gap in found.gaps] == ["training"]

    def test_where_nobody_need_sign_nothing_is_green(self) -> None:
        found = standing(SignOffs((REVIEW,)), [], "2.0.0", TODAY)
        assert found.status is Status.INCONCLUSIVE
        assert "name kinds in criteria.toml" in found.gaps[0]

    def complained(self, complaint: Complaint) -> tuple[Status, str]:
        found = standing(SignOffs((REVIEW,), (complaint,)), ["code-review"], "2.0.0", TODAY)
        return found.status, found.findings[-1].reason if len(found.findings) > 1 else ""

    def test_an_open_significant_complaint_is_no_go(self) -> None:
        assert self.complained(COMPLAINT) == (
            Status.NO_GO,
            "significant complaint 20261125-1 of 2026-11-25 by Ada is open: Titles are in Latin.",
        )

    def test_an_open_minor_complaint_is_told(self) -> None:
        status, said = self.complained(replace(COMPLAINT, severity=Severity.MINOR))
        assert (status, "minor complaint" in said) == (Status.GO, True)

    def test_a_resolved_complaint_is_told(self) -> None:
        done = replace(COMPLAINT, resolved=NOON, resolved_by="Jo", resolution="The language is pinned.")
        status, said = self.complained(done)
        assert status is Status.GO
        assert said.endswith("resolved on 2026-11-25 by Jo: The language is pinned.")

    def test_a_resolution_to_come_resolves_nothing_yet(self) -> None:
        done = replace(COMPLAINT, resolved=NOON + timedelta(days=1), resolved_by="Jo", resolution="Soon.")
        status, said = self.complained(done)
        assert status is Status.NO_GO
        assert said.endswith("that day is still to come")

    def test_a_complaint_about_another_release_is_not_about_this_one(self) -> None:
        assert self.complained(replace(COMPLAINT, release="1.9.0")) == (Status.GO, "")

    def test_a_long_complaint_is_quoted_short_and_kept_whole(self) -> None:
        found = standing(SignOffs((), (replace(COMPLAINT, text="bad\n" * 900),)), ["training"], "2.0.0", TODAY)
        [finding] = found.findings
        assert len(finding.reason) < 400
        assert "\n" not in finding.reason
        assert finding.detail == "bad\n" * 900
        assert found.status is Status.NO_GO, "NO-GO is worse than what nobody has signed"


class TestFile:
    def test_it_is_read_as_it_stands(self) -> None:
        assert parsed(TEXT) == SignOffs((REVIEW,), (COMPLAINT,))

    def test_no_file_is_no_signature_and_no_complaint(self, tmp_path: Path) -> None:
        assert load_signoffs(tmp_path / "signoffs.toml") == SignOffs()

    def test_a_file_that_somebody_named_must_be_there(self, tmp_path: Path) -> None:
        with pytest.raises(DefinitionError, match=r"signoffs\.toml: there is no such file"):
            load_signoffs(tmp_path / "signoffs.toml", must_exist=True)

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ('by = "Jo"', "by = 3", r"signoffs\.toml:3: signoff\[0\]\.by: 3 is no text"),
            ("2026-12-20", '"2026-12-20"', r"signoff\[0\]\.until: '2026-12-20' is no day; write one like"),
            ("2026-12-20", "2026-12-20T00:00:00", r"until: .* is no day"),
            ("until = 2026-12-20\n", "", r"signoffs\.toml:3: signoff\[0\]: the key 'until' is missing"),
            ('kind = "code', 'knid = "code', r"signoff\[0\]: the key 'kind' is missing"),
            ('release = "2.0.0"\nby = "Jo"', 'release = " "\nby = "Jo"', r"release: the text is empty"),
            ("by = ", "bye = 1\nby = ", r"unknown key 'bye'"),
            ('"significant"', '"signifcant"', r"signoffs\.toml:11: complaint '20261125-1'\.severity.*did you mean"),
            ("2026-11-25T12:00:00+00:00", "2026-11-25T12:00:00", r"received: 2026-11-25T12:00:00 has no offset"),
            ("2026-11-25T12:00:00+00:00", "2026-11-25", r"received: .* is no moment"),
            ('text = "Titles are in Latin."', "", r"the key 'text' is missing"),
            ("received =", "resolution = 'done'\nreceived =", r"the key 'resolved' is missing"),
            (
                "received =",
                "resolved = 2026-11-25T11:00:00+00:00\nresolved_by = 'Jo'\nresolution = 'done'\nreceived =",
                r"complaint '20261125-1'\.resolved: .* lies before received",
            ),
            ("[[signoff]]", "[[signof]]", r"unknown key 'signof' \(did you mean 'signoff'\?\)"),
            ("[[signoff]]", "[signoff]", r"signoff: .* is a mapping; write a list of mappings"),
            ("given = ", "given = = ", r"not usable TOML"),
        ],
    )
    def test_what_is_malformed_is_refused_with_its_place(self, old: str, new: str, said: str) -> None:
        assert old in TEXT
        with pytest.raises(DefinitionError, match=said):
            parsed(TEXT.replace(old, new, 1) if old != "by = " else TEXT.replace(old, new))

    def test_two_complaints_of_one_id_are_refused(self) -> None:
        with pytest.raises(DefinitionError, match=r"signoffs\.toml:19: .*stands here a second time"):
            parsed(with_complaint(TEXT, COMPLAINT))

    def test_the_line_is_right_below_a_text_that_looks_like_a_table(self) -> None:
        text = TEXT.replace('text = "Titles', 'text = """\n[[complaint]]\n"""\n#').replace("# who", "# who\n# ever")
        with pytest.raises(DefinitionError, match=r"signoffs\.toml:23: complaint\[1\]: the key 'id' is missing"):
            parsed(text + "\n[[complaint]]\nrelease = '2'\n")


class TestOpenComplaints:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        (tmp_path / "signoffs.toml").write_text(TEXT)
        return tmp_path / "signoffs.toml"

    def test_one_that_came_since_is_there(self, file: Path) -> None:
        assert open_complaints(file, "2.0.0", NOON) == (COMPLAINT,)

    def test_one_from_before_and_one_of_another_release_are_not(self, file: Path) -> None:
        assert open_complaints(file, "2.0.0", NOON + timedelta(seconds=1)) == ()
        assert open_complaints(file, "1.9.0", NOON) == ()

    def test_a_resolved_one_is_not(self, file: Path) -> None:
        done = replace(COMPLAINT, resolved=NOON, resolved_by="Jo", resolution="Done.")
        file.write_text(with_resolution(TEXT, 0, done, file))
        assert open_complaints(file, "2.0.0", NOON) == ()

    def test_without_a_file_there_is_none(self, tmp_path: Path) -> None:
        assert open_complaints(tmp_path / "signoffs.toml", "2.0.0", NOON) == ()

    def test_a_malformed_file_is_an_error_and_not_silence(self, file: Path) -> None:
        file.write_text(TEXT.replace("received", "recieved"))
        with pytest.raises(DefinitionError, match="the key 'received' is missing"):
            open_complaints(file, "2.0.0", NOON)


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(str.strip).filter(bool)


class TestText:
    def test_what_is_added_stands_at_the_end_and_nothing_else_changes(self) -> None:
        text = with_complaint(with_signoff(TEXT, replace(REVIEW, kind="training")), replace(COMPLAINT, id="x"))
        assert text.startswith(TEXT)
        assert parsed(text) == SignOffs(
            (REVIEW, replace(REVIEW, kind="training")), (COMPLAINT, replace(COMPLAINT, id="x"))
        )

    def test_a_resolution_stands_in_its_complaint_and_comments_stay(self) -> None:
        text = TEXT + "\n# the next one\n[[signoff]]" + TEXT.partition("[[signoff]]")[2].partition("\n[[")[0]
        done = replace(COMPLAINT, resolved=NOON, resolved_by="Jo", resolution="Done.")
        after = with_resolution(text, 0, done, FILE)
        added = [line for line in after.splitlines() if line not in text.splitlines()]
        assert added == ["resolved = 2026-11-25T12:00:00+00:00", 'resolved_by = "Jo"', 'resolution = "Done."']
        assert [line for line in after.splitlines() if line not in added] == text.splitlines()
        assert parsed(after) == SignOffs((REVIEW, REVIEW), (done,))

    def test_a_resolution_finds_its_complaint_among_texts_that_look_like_one(self) -> None:
        first = TEXT.replace('"Titles are in Latin."', '"""\n[[complaint]]\nid = "20261125-1"\n"""')
        both = with_complaint(first, replace(COMPLAINT, id="second"))
        done = replace(COMPLAINT, id="second", resolved=NOON, resolved_by="Jo", resolution="Done.")
        assert parsed(with_resolution(both, 1, done, FILE)).complaints[1] == done

    def test_complaints_in_one_line_are_refused(self) -> None:
        done = replace(COMPLAINT, resolved=NOON, resolved_by="Jo", resolution="Done.")
        inline = "complaint = [{id = 'a', release = '2', severity = 'minor', by = 'b', text = 't', received = 2026-11-25T12:00:00Z}]"
        assert len(parsed(inline).complaints) == 1
        with pytest.raises(DefinitionError, match=r"signoffs\.toml: .* does not stand below a line \[\[complaint\]\]"):
            with_resolution(inline, 0, done, FILE)

    @pytest.mark.parametrize("end", ["", "\n", "\n\n# the end", "\n# the end\n"])
    @pytest.mark.parametrize("newline", ["\n", "\r\n"])
    def test_line_ends_are_kept(self, newline: str, end: str) -> None:
        text = (TEXT.rstrip() + end).replace("\n", newline)
        done = replace(COMPLAINT, resolved=NOON, resolved_by="Jo", resolution="Done.")
        resolved = with_resolution(text, 0, done, FILE)
        after = with_signoff(resolved, REVIEW)
        assert parsed(after) == SignOffs((REVIEW, REVIEW), (done,))
        assert ("\r\n" in after) == (newline == "\r\n")
        assert after.count("\n") == after.count(newline)

    @given(by=ANY_TEXT, text=ANY_TEXT, resolution=ANY_TEXT)
    def test_any_text_comes_back_as_it_was(self, by: str, text: str, resolution: str) -> None:
        complaint = replace(COMPLAINT, by=by, text=text)
        done = replace(complaint, resolved=NOON, resolved_by=by, resolution=resolution)
        written = with_complaint("", complaint)
        tomllib.loads(written)
        assert parsed(written).complaints == (complaint,)
        assert parsed(with_resolution(written, 0, done, FILE)).complaints == (done,)

"""``gonogo signoff``: what it writes, what it refuses, and that nothing is half-written or lost."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from small_project import CRITERIA, write_project

from gonogo.cli import main
from gonogo.signoffs import SignOffs, load_signoffs, with_complaint

SIGN_OFFS = """
[[criterion]]
id = "sign-offs"
title = "People answer for it"
group = "Operation"
per = ["run"]
pre = "required"
post-stub = "required"
post-real = "required"
nightly = "required"

[criterion.parameters]
kinds = ["code-review", "training"]

[criterion.parameters.post-real]
kinds = ["code-review", "user-feedback"]
"""
REVIEW = ("code-review", "--by", "Jo", "--link", "https://example.com/1", "--until", "9999-12-31")
COMPLAINT = ("complaint", "--severity", "significant", "--by", "Ada", "--text", "Titles are in Latin.")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small project, worked in, with sign-offs among its criteria."""
    write_project(tmp_path)
    (tmp_path / "criteria.toml").write_text(CRITERIA + SIGN_OFFS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def signoff(*arguments: str) -> Result:
    """Run a command. A traceback is no way to end."""
    result = CliRunner().invoke(main, ["signoff", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def done(*arguments: str) -> str:
    result = signoff(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str) -> str:
    result = signoff(*arguments)
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


def held(project: Path) -> SignOffs:
    return load_signoffs(project / "signoffs.toml")


def test_signing_makes_the_file_and_says_what_stands_there(project: Path) -> None:
    said = done(*REVIEW, "--note", "twice")
    [one] = held(project).signoffs
    assert (one.kind, one.release, one.by, one.note) == ("code-review", "2.0", "Jo", "twice")
    assert said == f"{one}, in signoffs.toml\n"
    assert (project / "signoffs.toml").read_text().startswith("# Who answers for a release")


def test_another_release_is_signed_where_it_is_named(project: Path) -> None:
    done(*REVIEW, "--release", "1.0")
    assert held(project).signoffs[0].release == "1.0"


def test_what_was_there_stays_as_it_was_with_its_mode(project: Path) -> None:
    file = project / "signoffs.toml"
    before = (
        '# ours\r\n[[signoff]]   # the first\r\nkind = "x"\r\nrelease = "1"\r\ngiven = 2026-01-01\r\nuntil = 2026-01-02'
    )
    file.write_bytes(before.encode())
    file.chmod(0o640)
    done(*REVIEW)
    assert file.read_bytes().startswith(before.encode() + b"\r\n\r\n[[signoff]]\r\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert len(held(project).signoffs) == 2


def test_a_link_stays_a_link(project: Path) -> None:
    (project / "kept").mkdir()
    (project / "signoffs.toml").symlink_to(project / "kept" / "signoffs.toml")
    done(*REVIEW)
    assert (project / "signoffs.toml").is_symlink()
    assert len(held(project).signoffs) == 1


def test_the_kinds_are_those_of_every_phase(project: Path) -> None:
    for kind in ("code-review", "training", "user-feedback"):
        done(kind, *REVIEW[1:])
    assert [one.kind for one in held(project).signoffs] == ["code-review", "training", "user-feedback"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("trainnig", *REVIEW[1:]), "'trainnig' is no kind of sign-off (did you mean 'training'?); write one of code-"),
        (("complain", *REVIEW[1:]), "(did you mean 'complaint'?)"),
        (("KIND", *REVIEW[1:]), "'KIND' is no kind of sign-off"),
        ((*REVIEW[:-1], "2001-01-01"), "this would not hold: until = 2001-01-01 lies before given ="),
        ((*REVIEW[:-1], "tomorrow"), "'tomorrow' is no day; write one like 2026-11-25"),
        (
            (*REVIEW[:4], "ask Jo", *REVIEW[5:]),
            "this would not hold: link = 'ask Jo' is no http or https URL; write one",
        ),
        (("code-review", "--by", " ", *REVIEW[3:]), "is blank; say something"),
        (("code-review", "--by", "\udcff", *REVIEW[3:]), "'\\udcff' is not UTF-8"),
        (REVIEW[:3], "Missing option '--link'"),
        ((*COMPLAINT[:2], "bad", *COMPLAINT[3:]), "'bad' is not one of 'minor', 'significant'"),
        (("resolve", "x", "--by", "Jo", "--text", "Done."), "there is no complaint 'x'; there is none at all"),
        (("--nothing",), "No such option"),
    ],
)
def test_what_would_not_hold_is_refused_and_nothing_is_written(
    project: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert said in refused(*arguments)
    assert not (project / "signoffs.toml").exists()


def test_a_project_without_the_criterion_is_told(project: Path) -> None:
    (project / "criteria.toml").write_text(CRITERIA)
    assert "criteria.toml: there is no criterion 'sign-offs'; add it" in refused(*REVIEW)


def test_kinds_that_are_no_list_are_told(project: Path) -> None:
    (project / "criteria.toml").write_text(CRITERIA + SIGN_OFFS.replace('["code-review", "training"]', '"training"'))
    assert "parameters.kinds = 'training' is no list of texts" in refused(*REVIEW)


@pytest.mark.parametrize("content", ["[[signoff]]\nkind = 3\n", "signoff = [\n", "\xff"])
@pytest.mark.parametrize("command", [REVIEW, COMPLAINT])
def test_a_malformed_file_is_refused_and_stays_as_it_was(project: Path, command: tuple[str, ...], content: str) -> None:
    (project / "signoffs.toml").write_bytes(content.encode("latin-1"))
    assert "signoffs.toml" in refused(*command)
    assert (project / "signoffs.toml").read_bytes() == content.encode("latin-1")


def test_tables_written_in_one_line_cannot_be_added_to(project: Path) -> None:
    (project / "signoffs.toml").write_text("signoff = []\n")
    assert "signoffs.toml: not usable TOML" in refused(*REVIEW)
    assert (project / "signoffs.toml").read_text() == "signoff = []\n"


def test_a_disk_that_is_full_leaves_the_file_as_it_was(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done(*REVIEW)
    before = (project / "signoffs.toml").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "signoffs.toml: cannot be written (No space left on device); correct its folder" in refused(*COMPLAINT)
    assert (project / "signoffs.toml").read_bytes() == before


def test_a_folder_that_is_not_there_is_told(project: Path) -> None:
    (project / "signoffs.toml").symlink_to(project / "gone" / "signoffs.toml")
    assert "cannot be written (No such file or directory)" in refused(*COMPLAINT)


def test_a_complaint_is_kept_under_an_id_of_its_own(project: Path) -> None:
    said = done(*COMPLAINT) + done(*COMPLAINT)
    first, second = held(project).complaints
    assert (first.severity, first.by, first.text, first.release) == (
        "significant",
        "Ada",
        "Titles are in Latin.",
        "2.0",
    )
    assert first.received.tzinfo is not None
    assert (first.id[-2:], second.id[-2:]) == ("-1", "-2")
    assert said.splitlines() == [f"{one}, in signoffs.toml" for one in (first, second)]


def test_a_complaint_is_resolved_in_its_place(project: Path) -> None:
    done(*COMPLAINT)
    done(*REVIEW)
    done("resolve", held(project).complaints[0].id, "--by", "Jo", "--text", "The language\nis pinned.")
    [complaint] = held(project).complaints
    assert (complaint.resolved_by, complaint.resolution) == ("Jo", "The language\nis pinned.")
    text = (project / "signoffs.toml").read_text()
    assert text.index("resolution") < text.index("[[signoff]]")


def test_a_complaint_is_resolved_once(project: Path) -> None:
    done(*COMPLAINT)
    name = held(project).complaints[0].id
    done("resolve", name, "--by", "Jo", "--text", "Done.")
    assert "nothing is left to resolve" in refused("resolve", name, "--by", "Jo", "--text", "Again.")
    assert f"there is no complaint '{name}0' (did you mean '{name}'?); there are {name}" in refused(
        "resolve", f"{name}0", "--by", "Jo", "--text", "Done."
    )


def test_the_list_says_how_the_release_stands_and_ends_with_its_status(project: Path) -> None:
    result = signoff("list")
    assert result.exit_code == 10
    assert [line[:22] for line in result.output.splitlines()] == [
        f"open    {kind}"[:22] for kind in ("code-review: nobody", "training: nobody has", "user-feedback: nobody")
    ]
    for kind in ("code-review", "training", "user-feedback"):
        done(kind, *REVIEW[1:])
    done(*REVIEW, "--release", "1.0")
    result = signoff("list")
    assert result.exit_code == 0, result.output
    assert result.output.count("ok      ") == 3
    assert result.output.splitlines()[-1] == "not shown: 1.0 (--release)"
    done(*COMPLAINT[:-1], "Bad \x1b[31mtitles")
    result = signoff("list")
    assert result.exit_code == 1
    assert result.output.startswith("failed  significant complaint")
    assert "\x1b" not in result.output
    assert signoff("list", "--release", "1.0").exit_code == 10


def test_who_comes_while_another_writes_waits_and_loses_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done(*COMPLAINT)
    file, waits, usual = project / "signoffs.toml", threading.Event(), fcntl.flock
    first = held(project).complaints[0]

    def noticed(descriptor: int, operation: int) -> None:
        waits.set()
        usual(descriptor, operation)

    folder = os.open(project, os.O_RDONLY)
    usual(folder, fcntl.LOCK_EX)
    monkeypatch.setattr(fcntl, "flock", noticed)
    command = threading.Thread(target=main.main, args=(["signoff", *COMPLAINT],), kwargs={"standalone_mode": False})
    command.start()
    try:
        assert waits.wait(30), "it does not ask whether somebody writes"
        another = replace(first, id="another")
        file.write_text(with_complaint(file.read_text(), another))
    finally:
        os.close(folder)
        command.join()
    assert [one.id for one in held(project).complaints] == [first.id, "another", f"{first.id[:-1]}2"]

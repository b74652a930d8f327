"""Documents against the software: what is not named is found, and what a document holds can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gonogo.documentation import Block, blocks, mentioned, read_documents

TEXT = """# Use

```console
$ make acceptance
  what it prints
$ gonogo verify RUN \\
    --digest D
```

1. First

   ```python
   value = 1
   ```

```toml
[prompt]
```
"""


def test_documents_are_read_once_by_their_path(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "b.md").write_text("b", encoding="utf-8")
    (tmp_path / "README.md").write_text("ä", encoding="utf-8")
    assert read_documents(tmp_path, ["README.md", "docs/*.md", "*.md"]) == {"README.md": "ä", "docs/b.md": "b"}


def test_blocks_have_their_language_their_line_and_no_indentation() -> None:
    assert [(block.language, block.line) for block in blocks(TEXT)] == [("console", 4), ("python", 13), ("toml", 17)]
    assert [block.text for block in blocks(TEXT)][1] == "value = 1\n"


def test_commands_are_what_follows_a_dollar_continued_lines_joined() -> None:
    console, *_ = blocks(TEXT)
    assert console.commands == ("make acceptance", "gonogo verify RUN --digest D")


def test_python_that_cannot_be_read_is_named_with_its_line() -> None:
    finding = Block("python", "x = 1\nif x\n", 10).compiles("docs/a.md")
    assert not finding.ok
    assert finding.reason.startswith("docs/a.md:11: not Python: ")
    assert finding.detail == "x = 1\nif x\n"
    assert Block("python", "x = 1\n", 10).compiles("docs/a.md").ok


@pytest.mark.parametrize(
    ("name", "text", "ok"),
    [
        ("--report", "Write it with `--report DIR`.", True),
        ("--report", "Write it with `--report-dir DIR`.", False),
        ("--report", "Write it with `--gonogo--report`.", False),
        ("GET /api/steps", "`GET /api/steps` lists steps", True),
        ("GET /api/steps", "`GET /api/steps-and-more`", False),
        ("memory", "memory-bound", False),
        ("memory", "(memory)", True),
        ("memory", "", False),
    ],
)
def test_a_name_is_mentioned_as_a_word_of_its_own(name: str, text: str, ok: bool) -> None:
    [finding] = mentioned("thing", [name], {"README.md": text})
    assert finding.ok is ok
    assert name in finding.reason


def test_nothing_to_look_for_is_no_success() -> None:
    [finding] = mentioned("endpoint", [], {"README.md": "everything"})
    assert not finding.ok

"""Every endpoint, option, command and criterion is documented, and what the documents name exists."""

from __future__ import annotations

import pytest

from acceptance.commands import commands_of, known_commands
from gonogo.documentation import blocks, mentioned, read_documents
from gonogo.model import Finding

pytestmark = pytest.mark.criterion("documentation")


def test_the_documents_and_the_software_name_the_same_things(criterion, definitions, candidate, pytestconfig, evidence):
    documents = read_documents(definitions.project.root, criterion.parameters["documents"])
    evidence.add(None, Finding("documentation", bool(documents), f"{len(documents)} documents"))
    options, commands = known_commands(pytestconfig)
    evidence.add(None, mentioned("endpoint", candidate.worker.describe()["endpoints"], documents))
    evidence.add(None, mentioned("option", options, documents))
    evidence.add(None, mentioned("command", commands, documents))
    evidence.add(None, mentioned("criterion", [one.id for one in definitions.criteria.criteria], documents))
    for document, block in ((document, block) for document, text in documents.items() for block in blocks(text)):
        if block.language == "python":
            evidence.add(None, block.compiles(document))
        if block.language == "console":
            evidence.add(None, commands_of(document, block, pytestconfig))

"""Go/no-go acceptance of the part of an LLM application that builds prompts.

What an adopting project imports: ``Project`` and ``Release`` in its conftest.py, ``Case``, ``Message``, ``Prompt`` and
``Step`` in an adapter, ``Finding`` in a suite. Everything else is imported from the module that it lives in.
"""

from gonogo.model import Ability, Case, Finding, Message, Prompt, Step
from gonogo.project import Project, Release

__all__ = ["Ability", "Case", "Finding", "Message", "Project", "Prompt", "Release", "Step"]

"""What a workflow consists of: steps, their inputs, and format templates. Pure, standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property

__all__ = ["FormatTemplate", "InputField", "Step"]


@dataclass(frozen=True, slots=True)
class InputField:
    """A post field that a step reads, and the name it has in the prompt."""

    field: str
    name: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class FormatTemplate:
    """How inputs are given to the model (``type == "input"``) or how it has to answer (``type == "output"``).

    ``schema`` is a JSON Schema (draft 2020-12). One of type string means a plain text reply; any other, a JSON reply.
    """

    id: str
    name: str
    description: str
    type: str
    llm_instructions: str
    schema: Mapping[str, object] = field(default_factory=dict, hash=False)

    @property
    def plain_text(self) -> bool:
        """Whether a reply in this format is text rather than JSON."""
        return self.schema.get("type") == "string"


@dataclass(frozen=True)
class Step:
    """One workflow step. ``inputs`` stand in the order in which they are written into the prompt."""

    id: str
    name: str
    stage: str
    substage: str
    order: int
    model: str
    system_prompt: str
    task_prompt: str
    input_format: FormatTemplate | None
    output_format: FormatTemplate | None
    inputs: tuple[InputField, ...]
    output_field: str
    parameters: Mapping[str, object] = field(default_factory=dict, hash=False)

    @cached_property
    def _hash(self) -> int:
        prompts = (self.system_prompt, self.task_prompt, self.input_format, self.output_format, self.inputs)
        return hash((self.id, self.model, prompts))

    def __hash__(self) -> int:
        # steps are keys of caches on the hot path, and a step may have a hundred inputs: hashed once per object
        return self._hash

    def __getstate__(self) -> dict[str, object]:
        # the hash of a text differs between processes and must not travel with a pickled step
        return {item.name: getattr(self, item.name) for item in fields(self)}

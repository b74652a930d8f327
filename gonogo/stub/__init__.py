"""The recorded-response LLM: answers a request with its recording, a scripted reply or a fault, and keeps a journal."""

from gonogo.stub.faults import FaultPlan, LlmFault
from gonogo.stub.journal import Exchange, Script, Stub

__all__ = ["Exchange", "FaultPlan", "LlmFault", "Script", "Stub"]

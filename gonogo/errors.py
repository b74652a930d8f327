"""What gonogo raises.

::

    Exception
    ├── AssertionError
    │   └── ProductFailure          the release under judgement falls short: NO-GO, Allure "failed"
    │       └── ProductError        ... by raising where it must not (wrapped where the target is called)
    └── GonogoError                 the tool cannot judge: INCONCLUSIVE, Allure "broken"
        ├── DefinitionError         a file that people write is wrong (criteria, workflows, cases)
        │   └── RecordingError      ... a recording is wrong or damaged
        ├── EvidenceError           the ledger of a run is damaged, or a run directory is none
        ├── EvidenceGap             a claim ended with evidence missing; said at the end of its item
        ├── StatisticsError         a sample that no statistic may be computed from (NaN, empty), a limit that is none
        ├── TargetError             a target cannot be started, broke down, or cannot do what was asked
        │   ├── WorkerDied          a release worker ended before it answered
        │   ├── OutboundConnection  a release tried to reach something other than its stub
        │   ├── ServiceGone         a live service stopped answering
        │   ├── ReleaseChanged      a live service answers as another release than before
        │   └── StackMissing        Prometheus or Alertmanager is not installed here
        ├── MissingReply            the model's reply that a claim rests on is not there ("prompt moved")
        └── ReportError             a report cannot be written or generated

Two types that share no base below ``Exception``: whoever catches one never swallows the other.
"""

from __future__ import annotations

__all__ = [
    "DefinitionError",
    "EvidenceError",
    "EvidenceGap",
    "GonogoError",
    "MissingReply",
    "OutboundConnection",
    "ProductError",
    "ProductFailure",
    "RecordingError",
    "ReleaseChanged",
    "ReportError",
    "ServiceGone",
    "StackMissing",
    "StatisticsError",
    "TargetError",
    "WorkerDied",
]


class ProductFailure(AssertionError):
    """The release under judgement does not do what a criterion asks."""


class ProductError(ProductFailure):
    """The release raised an exception where it must not."""


class GonogoError(Exception):
    """gonogo itself, or what it was given, does not allow a judgement."""


class DefinitionError(GonogoError):
    """A file that people write cannot be used.

    The message names the file, the line or key, the value, and what to write instead.
    """


class RecordingError(DefinitionError):
    """A recording is malformed, damaged, or stands there twice with different replies."""


class EvidenceError(GonogoError):
    """The evidence of a run is damaged or is not the evidence of a run."""


class EvidenceGap(GonogoError):
    """A claim could not be judged on all that it owes."""


class StatisticsError(GonogoError):
    """A sample or a limit that no decision may rest on."""


class TargetError(GonogoError):
    """A target cannot be started or cannot do what it was asked."""


class WorkerDied(TargetError):
    """A release worker ended before it had answered."""


class OutboundConnection(TargetError):
    """A release tried to open a connection to something other than its stub."""


class ServiceGone(TargetError):
    """A live service does not answer any more, or never did."""


class ReleaseChanged(TargetError):
    """A live service answers as another release than before; what was judged is no longer one thing."""


class StackMissing(TargetError):
    """Prometheus or Alertmanager is not installed here; the message says what to install."""


class MissingReply(GonogoError):
    """No recording answers the request that a case leads to."""


class ReportError(GonogoError):
    """A report could not be written or generated."""

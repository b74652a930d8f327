"""What the deployer raises.

::

    Exception
    └── OpsError
        ├── UsageError   what was asked for, or site.toml, cannot be used: exit status 2, nothing was touched
        └── Refused      something does not hold or did not work: exit status 1, the release that served serves

A message names the value, the place and what to do.
"""

from __future__ import annotations

__all__ = ["OpsError", "Refused", "UsageError"]


class OpsError(Exception):
    """The deployer does not do, or could not do, what it was asked for."""


class UsageError(OpsError):
    """A command, an argument or a line of site.toml that cannot be used."""


class Refused(OpsError):
    """A check does not hold, or a step did not work."""

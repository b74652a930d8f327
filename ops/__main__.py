"""``python -m ops``."""

from __future__ import annotations

from ops.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main(prog_name="python -m ops")

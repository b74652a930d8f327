"""Print constraints.txt anew: the newest versions that fit each other, of everything that any extra needs.

    .venv/bin/python scripts/pins.py > constraints.new

Only the oldest supported Python will do: what it can run, a newer one can too, but not the other way round.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)


def main() -> int:
    """Print the file; 0, or 1 where there is no answer."""
    if sys.version_info[:2] != OLDEST:
        sys.stderr.write(f"pins: run this with Python {OLDEST[0]}.{OLDEST[1]}, the oldest one that is supported\n")
        return 1
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = pyproject["project"]
    wanted = [*project["dependencies"], *pyproject["build-system"]["requires"], "editables", "pip", "setuptools"]
    wanted += [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed", "--report", "-"]
    done = subprocess.run([*pip, *wanted], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        return 1
    found = [entry["metadata"] for entry in json.loads(done.stdout)["install"]]
    pins = sorted((re.sub(r"[-_.]+", "-", one["name"]).lower(), one["version"]) for one in found)
    before = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in before if line.startswith("#")] + [f"{name}=={version}" for name, version in pins]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

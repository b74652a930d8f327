"""Runs gunicorn in a release's tree: ``python -P launch.py TREE DESCRIPTOR ARGUMENT...``.

It waits for a word on the descriptor first, which the deployer sends once it has written this process down. A deployer that
is killed before leaves nothing that nobody knows of.
"""

from __future__ import annotations

import os
import sys

__all__: list[str] = []


def _main(tree: str, descriptor: str, *arguments: str) -> None:
    with os.fdopen(int(descriptor), "rb") as channel:
        if channel.read(1) != b"g":
            sys.exit("launch: the deployer ended before it had written this start down; nothing is started")
    os.chdir(tree)
    sys.path.insert(0, tree)
    sys.argv = ["gunicorn", *arguments]
    from gunicorn.app.wsgiapp import run  # not before the release's tree is on the path

    run()


if __name__ == "__main__":
    _main(*sys.argv[1:])

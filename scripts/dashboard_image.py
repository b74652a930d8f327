"""Make the picture of the dashboard that the README shows.

    .venv/bin/python scripts/dashboard_image.py [STATE.json]

STATE.json is what a dashboard served as /state.json; without it, the made-up service of the dashboard's tests is shown, with an
alert. Needs chromium.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from gonogo.dashboard import serving
from gonogo.model import Json

ROOT = Path(__file__).resolve().parent.parent
IMAGE = ROOT / "docs" / "images" / "dashboard.png"
WIDTH = 1200  # pixels


def main(arguments: Sequence[str]) -> int:
    """Write the picture; 0, or 2 where it cannot be made."""
    chromium = shutil.which("chromium")
    if chromium is None or len(arguments) > 1:
        sys.stderr.write("dashboard_image: install chromium, and give at most one file with a state\n")
        return 2
    state = json.loads(Path(arguments[0]).read_text(encoding="utf-8")) if arguments else _made_up()
    with serving(lambda: state, port=0, title="the blog, production") as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page(
            viewport={"width": WIDTH, "height": 1000}, locale="en-GB", timezone_id="UTC", reduced_motion="reduce"
        )
        page.goto(url)
        expect(page.locator("#word")).not_to_have_text("UNKNOWN")
        expect(page.locator("#age")).not_to_have_text("unknown")
        last = page.get_by_role("region", name="Triggers").bounding_box()  # what follows are tables
        assert last is not None
        height = last["y"] + last["height"] + 12
        page.screenshot(path=IMAGE, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
        browser.close()
    sys.stdout.write(f"{IMAGE.relative_to(ROOT)}: {IMAGE.stat().st_size} bytes\n")
    return 0


def _made_up() -> dict[str, Json]:
    sys.path.insert(0, str(ROOT / "tests"))
    from dashboard_states import watched  # only where it is asked for: a state that is given needs no tests

    return watched(900.0, broken_from=620.0, breaking=13, falling_back=70)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

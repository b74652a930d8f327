"""The dashboard in a browser: what is read on it, what it never believes, and who can read it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from axe_playwright_python.sync_playwright import Axe
from dashboard_states import watched
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, expect, sync_playwright

from gonogo.dashboard import serving
from gonogo.model import Json

CHROMIUM = shutil.which("chromium")
QUIET = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
DETECTED = 312.0
ROLLED_BACK: dict[str, Json] = {
    "state": "verified",
    "trigger": "errors",
    "detected": DETECTED,
    "status": 0,
    "recovered": 318.4,
    "findings": [{"ok": True, "reason": "1.9.0 answers"}, {"ok": False, "reason": "/readyz answers 503"}],
}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; install the package chromium")


# one browser for the module, not for the session: it keeps an event loop running in this thread, which other tests cannot have
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without a network of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET])
        yield browser
        browser.close()


@dataclass
class Shown:
    """A dashboard in a window, and what it shows."""

    page: Page
    state: dict[str, Json]

    def open(self, url: str) -> None:
        """Look at it."""
        self.page.goto(url)

    def answers(self, word: str) -> None:
        """Wait for an answer."""
        expect(self.page.locator("#word")).to_have_text(word, timeout=20_000)

    def trigger(self, title: str) -> str:
        """What stands of a trigger."""
        return self.page.locator(".trigger", has=self.page.get_by_role("heading", name=title)).inner_text()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained about."""
    return []


@pytest.fixture
def context(browser: Browser, complaints: list[str]) -> Iterator[BrowserContext]:
    """A window that no other test has looked at."""

    def complain(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    context = browser.new_context(timezone_id="UTC", locale="en-GB")
    context.on("console", complain)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context
    context.close()


@pytest.fixture
def shown(context: BrowserContext) -> Iterator[Shown]:
    """A healthy service's dashboard, asked five times a second."""
    shown = Shown(context.new_page(), watched(interval=0.2))
    with serving(lambda: shown.state, port=0, title="the blog") as url:
        shown.open(url)
        yield shown


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A dashboard of which only the page is used."""
    with serving(dict, port=0, title="the blog") as url:
        yield url


@pytest.fixture
def page_of(context: BrowserContext, address: str) -> Callable[[dict[str, Json]], Page]:
    """Opens the page on a state that is not served but given, so that its age may be anything."""
    page = context.new_page()
    state: dict[str, Json] = {}

    def give(route: Route) -> None:
        route.fulfill(content_type="application/json", body=json.dumps(state))

    def opened(told: dict[str, Json]) -> Page:
        state.update({"age": 0.5, "title": "the blog", **told})
        page.route("**/state.json", give)
        page.goto(address)
        expect(page.locator("#title")).to_have_text("the blog")
        return page

    return opened


def test_a_watch_in_which_every_trigger_can_tell_and_is_quiet_is_well(shown: Shown, complaints: list[str]) -> None:
    shown.answers("WELL")
    expect(shown.page).to_have_title("WELL · the blog")
    expect(shown.page.locator("#detail")).to_have_text("All 7 triggers can tell, and none has fired.")
    assert shown.page.locator("#release").inner_text() == "2.0.0"
    assert shown.page.locator("#elapsed").inner_text() == "6:40 of 30:00"
    assert shown.page.locator("#health").inner_text() == "/healthz well (200)\n/readyz well (200)"
    assert "quiet" in shown.trigger("Runs fail")
    assert shown.page.get_by_role("table").filter(has_text="At most").get_by_role("row").count() == 1 + 18
    assert shown.page.get_by_role("rowheader", name="Failed runs").locator("+ td").inner_text() == "7 (0.391\xa0%)"
    assert complaints == []


def test_the_page_follows_the_watch(shown: Shown, complaints: list[str]) -> None:
    shown.answers("WELL")
    shown.state = watched(broken_from=120, breaking=12, interval=0.2)
    shown.answers("ALERT")
    expect(shown.page).to_have_title("ALERT · the blog")
    expect(shown.page.locator("#detail")).to_have_text("Runs fail: fired 4:32 (02:08:42).")
    said = shown.trigger("Runs fail")
    assert "ALERT at 4:32 (02:08:42)" in said
    assert "alert > 5" in said
    assert "docs/runbook.md, section “errors”" in said
    assert shown.page.get_by_role("meter", name="Runs fail: alert > 5").get_attribute("aria-valuetext") == "fired"
    newest = shown.page.locator("#lines li").first
    assert newest.inner_text() == "4:32 (02:08:42)\nALERT: errors: 60 of 1215 in the last 5 min"
    shown.state = watched(broken_from=120, breaking=4, interval=0.2, action={**ROLLED_BACK, "state": "running"})
    shown.answers("ROLLING BACK")
    assert complaints == []


@pytest.mark.parametrize(
    ("told", "word", "detail"),
    [
        ({"alarm": "rollback"}, "ROLL BACK", "The watch has not begun to."),
        ({"good": False}, "NOT WELL", "no trigger has fired yet"),
        ({"alarm": "alert", "good": False}, "ALERT", "The service is not well now."),
        ({"good": None}, "BLIND", "does not tell"),
        ({"alarm": None}, "BLIND", "does not tell"),
        ({"triggers": []}, "BLIND", "does not tell"),
        ({"elapsed": None}, "BLIND", "has not looked yet"),
        ({"action": {**ROLLED_BACK, "state": "running"}}, "ROLLING BACK", "Trigger: Runs fail."),
        ({"action": ROLLED_BACK}, "ROLLED BACK", "is verified"),
        ({"action": ROLLED_BACK, "good": False}, "ROLLED BACK", "The service is not well now."),
        ({"action": {**ROLLED_BACK, "state": "failed"}}, "ROLLBACK FAILED", "act by hand"),
        ({"action": {**ROLLED_BACK, "state": "failed"}, "ended": "NO-GO"}, "ROLLBACK FAILED", "act by hand"),
        ({"action": {**ROLLED_BACK, "state": "odd"}}, "ROLLING BACK", "Trigger"),
        ({"ended": "GO"}, "ENDED: GO", "nobody watches the service any more"),
        ({"ended": "NO-GO", "action": ROLLED_BACK}, "ENDED: NO-GO", "It was rolled back."),
        ({"ended": "INCONCLUSIVE"}, "ENDED: INCONCLUSIVE", "nobody watches"),
    ],
)
def test_there_is_one_answer(
    page_of: Callable[[dict[str, Json]], Page], told: dict[str, Json], word: str, detail: str
) -> None:
    page = page_of({**watched(), **told})
    expect(page.locator("#word")).to_have_text(word)
    expect(page.locator("#detail")).to_contain_text(detail)
    expect(page).to_have_title(f"{word} · the blog")


def test_triggers_that_cannot_tell_make_the_watch_blind(page_of: Callable[[dict[str, Json]], Page]) -> None:
    page = page_of(watched(40))
    expect(page.locator("#word")).to_have_text("BLIND")
    expect(page.locator("#detail")).to_contain_text("5 of 7 cannot tell")
    blind = page.locator(".trigger").filter(has_text="Memory grows")
    expect(blind).to_contain_text("CANNOT TELL")
    expect(blind).to_contain_text("memory has no reference yet: it takes 262 s more")
    assert blind.get_by_role("meter").get_attribute("aria-valuetext") == "unknown"


def test_a_rollback_is_told_with_what_was_checked(page_of: Callable[[dict[str, Json]], Page]) -> None:
    page = page_of(watched(action=ROLLED_BACK, release="1.9.0"))
    expect(page.locator("#role")).to_have_text("the previous release; the candidate is 2.0.0")
    said = page.locator("#action").inner_text()
    for part in ("5:12 (02:09:22)", "5:18 (02:09:28)", "holds: 1.9.0 answers", "FAILS: /readyz answers 503"):
        assert part in said


def test_what_is_unknown_is_never_a_nought(page_of: Callable[[dict[str, Json]], Page]) -> None:
    page = page_of({"interval": 2.0, "elapsed": 2.0, "good": False})
    expect(page.locator("#word")).to_have_text("NOT WELL")
    for name in ("release", "memory", "no-triggers", "no-log", "no-construction", "no-errors", "no-templates"):
        expect(page.locator(f"#{name}")).to_have_text("unknown")
    cells = page.locator("#totals td").all_inner_texts()
    assert cells == ["unknown"] * 5
    assert page.locator("#health").inner_text() == "unknown: no path is asked"


def test_a_construction_beyond_the_limit_or_the_buckets_is_told_in_words(
    page_of: Callable[[dict[str, Json]], Page],
) -> None:
    slow: dict[str, Json] = {"quantile": 0.1, "count": 9}
    page = page_of(
        watched(construction={"a": slow, "b": {"quantile": None, "count": 1}, "c": {"quantile": 0.01, "count": 3}})
    )
    cells = page.locator("#construction tbody tr").all_inner_texts()
    assert cells == ["a\t100\xa0ms above alert\t9", "b\tbeyond its buckets above roll back\t1", "c\t10\xa0ms\t3"]


def test_a_watch_that_died_does_not_look_healthy(context: BrowserContext) -> None:
    page = context.new_page()
    with serving(lambda: watched(interval=2.0), port=0, title="the blog") as url:
        page.goto(url)
        expect(page.locator("#word")).to_have_text("WELL")
    expect(page.locator("#word")).to_have_text("UNKNOWN", timeout=20_000)
    expect(page).to_have_title("UNKNOWN · the blog")
    expect(page.locator("#detail")).to_contain_text("No connection to the watch")
    expect(page.locator("#detail")).to_contain_text("everything below is as it was then")
    expect(page.locator("body")).to_have_class("old")
    with serving(lambda: watched(interval=2.0), port=int(url.rpartition(":")[2]), title="the blog"):
        expect(page.locator("#word")).to_have_text("WELL", timeout=20_000)
        expect(page.locator("body")).not_to_have_class("old")


def test_a_loss_is_told_within_two_intervals(context: BrowserContext) -> None:
    page = context.new_page()
    page.clock.install()  # the page's own clock: a slow machine is not what is measured
    with serving(lambda: watched(interval=2.0), port=0, title="the blog") as url:
        page.goto(url)
        expect(page.locator("#word")).to_have_text("WELL")
        with page.expect_response("**/state.json"):
            page.clock.pause_at(page.evaluate("Date.now()") + 1990)
            page.clock.run_for(20)
        expect(page.locator("#word")).to_have_text("WELL")
    for milliseconds in (2000, 500):  # one failure may be chance
        with page.expect_event("requestfailed"):
            page.clock.run_for(milliseconds)
    expect(page.locator("#word")).to_have_text("UNKNOWN")


def test_a_page_that_slept_believes_nothing_until_it_has_heard_the_watch(context: BrowserContext) -> None:
    page = context.new_page()

    def hold(route: Route) -> None:
        """An answer that is on its way for long."""

    page.clock.install()
    with serving(lambda: watched(interval=2.0), port=0, title="the blog") as url:
        page.goto(url)
        expect(page.locator("#word")).to_have_text("WELL")
        page.route("**/state.json", hold)
        page.clock.fast_forward("01:00:00")
        expect(page.locator("#detail")).to_have_text("The page was asleep, and asks the watch again.")
        expect(page.locator("#word")).to_have_text("UNKNOWN")
        page.unroute("**/state.json")
        page.clock.run_for(2000)
        expect(page.locator("#word")).to_have_text("WELL")


def test_a_watch_that_hangs_does_not_look_healthy(page_of: Callable[[dict[str, Json]], Page]) -> None:
    page = page_of(watched(age=15.5))
    expect(page.locator("#word")).to_have_text("UNKNOWN")
    expect(page.locator("#detail")).to_have_text("The watch answers, but has not looked for more than 15 s.")
    expect(page.locator("body")).to_have_class("old")


@pytest.mark.parametrize("told", [{"age": None}, {"triggers": 7}, {"triggers": [None]}, {"log": "no list"}])
def test_a_state_that_cannot_be_shown_does_not_look_healthy(
    page_of: Callable[[dict[str, Json]], Page], told: dict[str, Json]
) -> None:
    page = page_of({**watched(), **told})
    expect(page.locator("#word")).to_have_text("UNKNOWN")
    expect(page.locator("body")).to_have_class("old")


def test_the_end_of_a_watch_stays_when_the_watch_has_gone(shown: Shown) -> None:
    shown.answers("WELL")
    shown.state = watched(interval=0.2, ended="GO")
    shown.answers("ENDED: GO")
    asked = []
    shown.page.on("request", lambda request: asked.append(request.url))
    shown.page.wait_for_timeout(1000)  # nothing must happen: there is no event to wait for
    assert asked == []


def test_what_the_service_says_is_text(shown: Shown, complaints: list[str]) -> None:
    hostile = "<img src=x onerror=\"document.title='hacked'\"></script><script>document.title='hacked'</script>"
    trigger: dict[str, Json] = {
        "id": hostile,
        "title": hostile,
        "says": hostile,
        "blind": hostile,
        "unit": hostile,
        "value": 1,
        "limits": {"alert": 1},
    }
    shown.state = watched(
        interval=0.2, release=hostile, target=hostile, why=hostile, runbook=hostile, health={hostile: 500}, triggers=[trigger],
        construction={hostile: {"quantile": 1, "count": 1}}, errors={hostile: 1}, templates={hostile: 1}, memory=hostile,
        log=[{"elapsed": 1, "what": hostile}], action={**ROLLED_BACK, "trigger": hostile, "findings": [{"ok": False, "reason": hostile}]},
    )  # fmt: skip
    expect(shown.page.locator("#release")).to_have_text(hostile)
    expect(shown.page.locator("#lines")).to_contain_text(hostile)
    expect(shown.page.locator(".trigger h3")).to_have_text(hostile)
    assert shown.page.locator("img, body > script:not(:last-of-type), main script").count() == 0
    assert shown.page.title() != "hacked"
    assert complaints == []


def test_the_policy_of_the_page_refuses_markup_whatever_its_script_does(shown: Shown, complaints: list[str]) -> None:
    shown.answers("WELL")
    refused = shown.page.evaluate(
        "() => { try { document.body.innerHTML = '<b>'; return false; } catch { return true; } }"
    )
    assert refused
    assert any("TrustedHTML" in one for one in complaints)


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_nothing_is_scrolled_sideways(page_of: Callable[[dict[str, Json]], Page], width: int) -> None:
    long = "x" * 300
    page = page_of(
        watched(
            broken_from=120,
            breaking=4,
            action={**ROLLED_BACK, "trigger": long},
            release=long,
            why=long,
            errors={long: 10**9},
        )
    )
    page.set_viewport_size({"width": width, "height": 700})
    expect(page.locator("#word")).to_have_text("ROLLED BACK")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wider = "[...document.querySelectorAll('main *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1).length"
    assert page.evaluate(wider) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("told", ["well", "blind", "alert", "back", "old"])
def test_everybody_can_read_it(page_of: Callable[[dict[str, Json]], Page], scheme: str, told: str) -> None:
    states = {
        "well": watched(),
        "blind": watched(40),
        "alert": watched(broken_from=120, breaking=12, why="no answer"),
        "back": watched(broken_from=120, breaking=4, action=ROLLED_BACK),
        "old": watched(broken_from=120, breaking=12, age=99),
    }
    page = page_of(states[told])
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    expect(page.locator("#word")).not_to_be_empty()
    violations = Axe().run(page).response["violations"]
    assert [(one["id"], one["impact"], [node["target"] for node in one["nodes"]]) for one in violations] == []


def test_an_axe_that_finds_nothing_is_not_blunt(page_of: Callable[[dict[str, Json]], Page]) -> None:
    page = page_of(watched())
    page.evaluate(
        "document.getElementById('detail').style.color = '#ddd'; document.querySelector('th').removeAttribute('scope')"
    )
    assert "color-contrast" in {one["id"] for one in Axe().run(page).response["violations"]}


def test_the_answer_is_announced_and_moves_only_when_it_changes(shown: Shown) -> None:
    shown.answers("WELL")
    assert shown.page.locator("[aria-live=polite]").inner_text().startswith("WELL")
    count = "new MutationObserver(() => { document.body.dataset.moved = 'yes'; })"
    shown.page.evaluate(
        f"{count}.observe(document.querySelector('[aria-live]'), {{childList: true, subtree: true, characterData: true}})"
    )
    shown.state = watched(interval=0.2, elapsed=402.0)
    expect(shown.page.locator("#elapsed")).to_have_text("6:42 of 30:00")
    assert shown.page.locator("body").get_attribute("data-moved") is None

"""The page in a real browser: hostile words stay words, it reads on a phone in both schemes, sorts, filters, and is
clean to axe-core.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from chromium import SECONDS, Browser
from selenium.webdriver.support.ui import WebDriverWait

from provision.fleet.outcome import Failure, Finding, Outcome, Status
from provision.fleet.report import View, page
from provision.fleet.report.view import Ran, Row
from provision.fleet.store.values import Recorded, Run
from tests.diagnose.test_forms import checkers

NOW = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "</title></style></script><!--&amp;'\" onmouseover='1' javascript:alert(1) \x07\u202e"
)


def row(key: str, status: Status, *, text: str = "The redirect is another.", days: int = 90) -> Row:
    failure = Failure("NotPermitted", text, text, 5) if status == "failed" else None
    findings = (Finding("redirect-web", "error", text, text),) if status == "pending" else ()
    verdict = "drifted" if status == "pending" else ""
    ends = NOW + timedelta(days=days)
    outcome = Outcome(key, "audit", status, verdict=verdict, findings=findings, failure=failure)
    said = (Recorded("20261126t080000-0a0b0c0d", outcome, NOW - timedelta(hours=1)),)
    return Row(key, f"{key}.example", "cloudex", ("north",), status, said, said, ends, ("unchanged", status))


def fleet(*rows: Row, name: str = "customers") -> View:
    run = Run("20261126t080000-0a0b0c0d", name, "audit", {}, NOW - timedelta(hours=1), NOW)
    counts: dict[str, int] = {}
    for one in rows:
        counts[one.state] = counts.get(one.state, 0) + 1
    return View(name, NOW, None, rows, (Ran(run, counts, 1, 2),))


def hostile() -> View:
    bad = [
        replace(row("a", "failed", text=HOSTILE), tenant=HOSTILE, key=HOSTILE, groups=(HOSTILE,), profile=HOSTILE),
        replace(row("b", "pending", text=HOSTILE * 3), key=HOSTILE + "2"),
        row("x" * 63, "changed"),
    ]
    named = bad[1].standing[0].outcome
    worse = replace(named, verdict=HOSTILE, findings=(Finding(HOSTILE, "error", HOSTILE, HOSTILE),))
    bad[1] = replace(bad[1], standing=(replace(bad[1].standing[0], outcome=worse),))
    return fleet(*bad, name=HOSTILE)


VIEWS = {
    "usual": fleet(
        row("a-north", "failed", days=-3),
        row("b-north", "pending", days=5),
        row("c-south", "unchanged"),
        row("d", "changed"),
    ),
    "empty": View("customers", NOW, None, (), ()),
    "hostile": hostile(),
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    made = Browser(tmp_path_factory.mktemp("browser"), None, resolver="MAP * ~NOTFOUND")
    made.driver.execute_cdp_cmd("Log.enable", {})
    yield made
    made.close()


def opened(browser: Browser, folder: Path, view: View, *, width: int = 1200) -> Browser:
    file = folder / "fleet.html"
    file.write_text("".join(page(view)), encoding="utf-8")
    browser.size(width)
    browser.go(file.as_uri())
    return browser


def visible(browser: Browser) -> list[str]:
    rows = "[...document.querySelectorAll('#tenants tbody tr')].filter(row => !row.hidden)"
    return list(browser.driver.execute_script(f"return {rows}.map(row => row.cells[0].firstChild.data)"))


class Elements(HTMLParser):
    """The tags of a page, as a parser that is not a browser sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("name", VIEWS)
def test_the_page_is_readable_at_any_width_without_a_network_and_clean_to_axe(
    browser: Browser, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    browser.prefer(scheme)
    opened(browser, tmp_path, VIEWS[name], width=width)
    assert browser.scroll_width() <= width
    browser.driver.execute_script((checkers() / "axe-core/axe.min.js").read_text(encoding="utf-8"))
    found: Any = browser.driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    assert found["passes"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
    assert browser.driver.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_nothing_that_others_have_named_becomes_markup_or_script(browser: Browser, tmp_path: Path) -> None:
    opened(browser, tmp_path, VIEWS["hostile"])
    script = browser.driver.execute_script
    assert script("return document.title").startswith("<script>document.title='owned'</script>")
    assert script("return document.querySelectorAll('script').length") == 1
    assert script("return document.querySelectorAll('img, iframe, [onerror], [onmouseover]').length") == 0
    shown = script("return document.querySelector('#tenants tbody th').firstChild.data")
    assert shown == HOSTILE
    links = script("return [...document.querySelectorAll('a')].map(link => link.getAttribute('href'))")
    assert all(link.startswith("#") for link in links)
    parsed, harmless = Elements(), Elements()
    parsed.feed("".join(page(VIEWS["hostile"])))
    harmless.feed("".join(page(VIEWS["usual"])))
    assert parsed.tags.keys() <= harmless.tags.keys() | {"code"}
    assert parsed.attributes <= harmless.attributes


def test_a_script_that_got_past_the_escaping_would_not_run(browser: Browser, tmp_path: Path) -> None:
    text = "".join(page(VIEWS["usual"]))
    strange = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    file = tmp_path / "fleet.html"
    file.write_text(text.replace("</h1>", f"</h1>{strange}<p style='color:red' id='styled'>x</p>", 1), encoding="utf-8")
    browser.go(file.as_uri())
    assert browser.driver.execute_script("return document.title") == "customers: 4 tenants"
    styled = browser.driver.execute_script("return getComputedStyle(document.getElementById('styled')).color")
    assert styled != "rgb(255, 0, 0)"
    assert browser.find("#find").is_displayed()


def test_the_table_sorts_and_filters(browser: Browser, tmp_path: Path) -> None:
    opened(browser, tmp_path, VIEWS["usual"])
    assert visible(browser) == ["a-north", "b-north", "c-south", "d"]
    browser.find("#tenants thead th:nth-child(1) button").click()
    browser.find("#tenants thead th:nth-child(1) button").click()
    assert visible(browser) == ["d", "c-south", "b-north", "a-north"]
    browser.find("#tenants thead th:nth-child(2) button").click()
    assert visible(browser) == ["a-north", "b-north", "d", "c-south"]
    assert browser.find("#tenants thead th:nth-child(2)").get_attribute("aria-sort") == "ascending"
    browser.find("#tenants thead th:nth-child(4) button").click()
    assert visible(browser)[:2] == ["a-north", "b-north"]
    browser.type("#words", "NORTH redirect")
    browser.see("2 of 4 shown")
    browser.find("#state option[value=p]").click()
    browser.see("1 of 4 shown")
    assert visible(browser) == ["b-north"]
    browser.find("a[data-find]").click()
    browser.see("1 of 4 shown")
    assert browser.find("#words").get_property("value") == "redirect-web"


def test_every_finding_of_a_tenant_and_its_remedy_stand_in_its_row(browser: Browser, tmp_path: Path) -> None:
    many = tuple(Finding(f"rule-{n}", "error", f"Thing {n} is another.", f"Put {n} right.") for n in range(7))
    one = row("a", "pending")
    said = replace(one.standing[0], outcome=replace(one.standing[0].outcome, findings=many))
    refused = row("b", "failed", text="It is not permitted.")
    opened(browser, tmp_path, fleet(replace(one, standing=(said,)), refused))
    cells = browser.driver.execute_script(
        "return [...document.querySelectorAll('#tenants tbody tr')].map(row => row.cells[2].textContent)"
    )
    for n in range(7):
        assert cells[0].count(f"Thing {n} is another.") == 1
        assert cells[0].count(f"Put {n} right.") == 1
    assert "And 4 more; what to do" in cells[0]
    assert cells[1] == "audit: It is not permitted.What to doIt is not permitted."
    folded = "return !document.querySelector('#tenants details p').checkVisibility()"
    assert browser.driver.execute_script(folded)
    browser.find("#tenants summary").click()
    assert not browser.driver.execute_script(folded)


def test_everything_stands_there_without_the_script(browser: Browser, tmp_path: Path) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        opened(browser, tmp_path, VIEWS["usual"])
        assert "c-south" in browser.text
        assert "Words in a row" not in browser.text
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_ten_thousand_tenants_make_a_page_that_opens(browser: Browser, tmp_path: Path) -> None:
    states: tuple[Status, ...] = ("unchanged", "unchanged", "changed", "pending", "failed")
    view = fleet(*(row(f"customer-{n:05}", states[n % 5], days=n % 800 - 20) for n in range(10_000)))
    assert max(map(len, page(view))) < 40_000  # written in pieces
    opened(browser, tmp_path, view)
    assert (tmp_path / "fleet.html").stat().st_size < 5_000_000
    browser.type("#words", "customer-09999")
    shown = "return document.getElementById('shown').textContent === '1 of 10000 shown'"
    WebDriverWait(browser.driver, SECONDS).until(lambda driver: driver.execute_script(shown))
    assert visible(browser) == ["customer-09999"]

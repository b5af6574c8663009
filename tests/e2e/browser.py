"""Chromium as the console's readers use it, sending nothing off this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.stack import PASSWORD

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CONSOLE: Final = [
    pytest.mark.e2e,
    pytest.mark.needs("chromium", "chromium"),
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("console"),  # with one browser
]
"""Of modules that look at the console of a control plane of their own."""

expect.set_options(timeout=30_000)  # as for clicks; five seconds are soon over where several tests share two cores


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A browser without a page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def new_page(browser: Browser, zone: str = "UTC") -> Iterator[Page]:
    """An empty page of somebody in this time zone who has never been here: no cookies, no cache."""
    with browser.new_context(viewport={"width": 1280, "height": 900}, timezone_id=zone) as context:
        yield context.new_page()


def log_in(page: Page, url: str, password: str = PASSWORD) -> None:
    page.goto(url)
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", password)
    page.click("button[type=submit]")

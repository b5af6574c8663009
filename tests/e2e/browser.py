"""Chromium as the console's readers use it, sending nothing off this machine."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

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


@contextmanager
def new_page(zone: str = "UTC") -> Iterator[Page]:
    """An empty page of a browser of its own, somewhere in this time zone."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_ARGUMENTS)
        yield browser.new_context(viewport={"width": 1280, "height": 900}, timezone_id=zone).new_page()
        browser.close()


def log_in(page: Page, url: str, password: str = PASSWORD) -> None:
    page.goto(url)
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", password)
    page.click("button[type=submit]")

"""What tests of the console share: a real Chromium, and a page of which nothing strange is accepted."""

import contextlib
import re
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gateway.app import App
from tests.harness import admin_url

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium (Debian: apt install chromium)")


#: Where the browser of a module's tests can be reached.
_running: list[str] = []


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One browser for all tests of a module: each has a context of its own in it."""
    assert CHROMIUM is not None
    profile = tmp_path_factory.mktemp("chromium")
    flags = [*FLAGS, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen([CHROMIUM, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := re.search(rb"DevTools listening on (ws://\S+)", line):
                    _running.append(found[1].decode())
                    break
            drain = threading.Thread(target=process.stderr.read, daemon=True)  # or it stands still, full
            drain.start()
            yield
        finally:
            _running.clear()
            process.terminate()
            process.wait(10)
            drain.join(10)


class Console:
    """The console in a browser. `page` is Playwright's; `wrong`: what was reported and should not be."""

    def __init__(self, page: Any, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.wrong: list[str] = []
        self.away = False  # the gateway is: failures to reach it are expected
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("console", self._said)
        page.on("request", self._asked)

    def _said(self, message: Any) -> None:
        unreachable = self.away and "Failed to load resource" in message.text
        if message.type in ("error", "warning") and not unreachable:
            self.wrong.append(f"console: {message.text}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.origin + "/", "data:")):
            self.wrong.append(f"request to {request.url}")

    async def open(self, ready: bool) -> None:
        """Load it, and wait for the first figures."""
        self.away = not ready
        await self.page.goto(self.origin + "/", wait_until="load")
        if not ready:
            return
        await self.page.wait_for_selector("#live[data-live=live]")
        await self.until("document.querySelectorAll('#pools tbody tr').length > 0")

    async def until(self, condition: str) -> None:
        """Wait until the JavaScript expression `condition` is true; fails after 15 s."""
        await self.page.wait_for_function(f"() => {condition}", timeout=15_000)

    async def text(self, selector: str) -> str:
        found: str = await self.page.eval_on_selector(selector, "node => node.textContent")
        return found

    async def run(self, code: str) -> Any:
        return await self.page.evaluate(code)

    def row(self, backend: str) -> Any:
        return self.page.locator(f'tr[data-backend="{backend}"]')


@contextlib.asynccontextmanager
async def console(
    app: App,
    width: int = 1440,
    height: int = 900,
    ready: bool = True,
    origin: str = "",
    **context: Any,
) -> AsyncIterator[Console]:
    """The console of `app`, opened; what it reported fails the test at the end.

    `ready`: with the first figures there; else just loaded, and failures to get some are accepted.
    `origin`: where it is, if it is not at the admin address itself.
    """
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(_running[0])
        made = await browser.new_context(viewport={"width": width, "height": height}, **context)
        try:
            opened = Console(await made.new_page(), origin or admin_url(app))
            await opened.open(ready)
            yield opened
            assert opened.wrong == []
        finally:
            await made.close()

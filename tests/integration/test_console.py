"""Does the console, in a real browser before a real gateway, show what is so and do what it is told?"""

import contextlib
import json
import re
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.app import App
from gateway.settings.load import from_dict
from tests.browser import chromium, console, needs_chromium  # noqa: F401  a fixture
from tests.harness import (
    FAILED,
    Backend,
    Conversation,
    admin_url,
    answers,
    ask,
    call,
    demo,
    gateway,
    get,
    ok,
    post,
    scripted,
    settled,
    state,
)

pytestmark = [needs_chromium, pytest.mark.usefixtures("chromium")]

KEPT = {"routes": [{"name": "all", "pool": "default", "cache": {"methods": ["GET", "POST"]}}]}
HOSTILE = "<script>window.pwned = 1</script><img src=x onerror=window.pwned=1>"


async def overview(app: App) -> Any:
    async with aiohttp.ClientSession() as client, client.get(admin_url(app, "/api/overview")) as response:
        return await response.json()


def figure(text: str) -> float:
    return float(text.replace(",", "").split()[0])


async def test_it_shows_what_the_overview_says() -> None:
    """Requests, errors, chosen backends and states agree with /api/overview after a bounded load."""
    async with scripted(answers(ok()), answers(FAILED), outlier={"consecutive_failures": 0}) as (app, _):
        await ask(app, 30)
        async with console(app) as page:
            await page.until("document.querySelector('#vitals .note').textContent === '30 in all'")
            told = await overview(app)
            (route,) = told["routes"]
            cells = page.page.locator('#routes tr[data-route="default"] td')
            assert figure(await cells.nth(1).inner_text()) == route["requests"] == 30
            assert figure(await cells.nth(6).inner_text()) == route["errors"] > 0
            for backend in told["pools"][0]["backends"]:
                row = page.row(backend["name"])
                assert await row.locator(".state").inner_text() == f"● {backend['state']}"
                assert figure(await row.locator(".load .value").inner_text()) == backend["in_flight"]
                said = await row.locator(".errors .value").get_attribute("title")
                counted = {key: count for key, count in backend["outcomes"].items() if count}
                assert dict(line.split(" ") for line in said.split("\n")) == {
                    key: str(count) for key, count in counted.items()
                }
            assert await page.text("#version") == told["status"]["version"]
            assert "2 backends: 2 up" in await page.text("#fleet")


async def test_it_goes_on_as_requests_come() -> None:
    """Totals, rates and decisions follow without anybody touching the page; rows are kept, not made anew."""
    async with scripted(answers(ok()), answers(ok())) as (app, _), console(app) as page:
        await page.run("document.querySelector('tr[data-backend=a]').mark = 1")
        await ask(app, 20)
        await page.until("document.querySelector('#vitals .note').textContent === '20 in all'")
        await page.until("document.querySelectorAll('#decision-list details').length === 20")
        await page.until("parseFloat(document.querySelector('#vitals .figure').textContent) > 0")
        shares = await page.page.locator("td.share .value").all_inner_texts()
        assert shares == ["50.0 %", "50.0 %"]
        assert await page.run("document.querySelector('tr[data-backend=a]').mark") == 1
        assert await page.run("document.querySelector('tr[data-backend=a] .spark .line').getAttribute('d')")


async def test_tokens_are_shown_where_there_are_some() -> None:
    """As many as the model server says, with their rate; nothing of them where nobody says anything."""
    async with demo() as server, gateway(server.url) as app, console(app) as page:
        tokens = "[...document.querySelectorAll('.vital')].find((n) => n.textContent.includes('Tokens'))"
        assert await page.run(f"{tokens}.hidden")
        body = {"model": "demo", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}
        await ask(app, 3, post(body))
        stats = app.pools["default"].backends[0].tokens
        assert stats.completion > 0
        await page.until(f"{tokens}.textContent.includes('{stats.completion} in all, {stats.prompt} read')")
        await page.until("parseFloat(document.querySelector('td.tokens .value').textContent) > 0")
        title = await page.page.locator("td.tokens .value").get_attribute("title")
        assert title.startswith(f"{stats.completion} written\n{stats.prompt} read, ")


async def test_a_backend_is_drained_and_taken_back() -> None:
    """After a confirmation, and not without; the page then says why it is out, and a live region tells."""
    async with scripted(answers(ok()), answers(ok())) as (app, _), console(app) as page:
        await page.row("a").get_by_role("button").click()
        dialog = page.page.get_by_role("dialog")
        assert "Drain a?" in await dialog.inner_text()
        await dialog.get_by_role("button", name="Cancel").click()
        assert state(app, "a") == "up"
        await page.row("a").get_by_role("button").click()
        await dialog.get_by_role("button", name="Drain").click()
        await settled(lambda: state(app, "a") == "draining")
        await page.until("document.querySelector('#out .why')?.textContent === 'drained by an operator'")
        await page.until("document.querySelector('#changes').textContent.includes('up → draining')")
        assert await page.row("a").locator(".state").inner_text() == "◇ draining"
        assert await page.row("a").locator(".why").inner_text() == "drained by an operator"
        button = page.row("a").get_by_role("button", name="Undrain a of pool default")
        await button.click()
        await dialog.get_by_role("button", name="Undrain").click()
        await settled(lambda: state(app, "a") == "up")
        await page.until("document.querySelector('#out').hidden")


async def test_the_last_backend_is_not_drained_by_chance() -> None:
    """The question says what it would mean."""
    async with scripted(answers(ok())) as (app, _), console(app) as page:
        await page.row("a").get_by_role("button").click()
        assert "the last one of default" in await page.text("#ask-text")


async def test_a_keyboard_is_enough() -> None:
    """Tab to the button, Enter, Tab to the confirmation, Enter: drained, and the focus is where it was."""
    async with scripted(answers(ok()), answers(ok())) as (app, _), console(app) as page:
        keyboard = page.page.keyboard
        for _ in range(60):
            await keyboard.press("Tab")
            if await page.run("document.activeElement.closest('tr')?.dataset.backend === 'b'"):
                break
        assert await page.run("document.activeElement.tagName") == "BUTTON"
        outline = await page.run("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        await keyboard.press("Enter")
        assert await page.run("document.activeElement.id") == "ask-no"
        await keyboard.press("Escape")
        assert await page.run("document.querySelector('dialog').open") is False
        assert await page.run("document.activeElement.closest('tr').dataset.backend") == "b"
        await keyboard.press("Enter")
        await keyboard.press("Tab")
        assert await page.run("document.activeElement.id") == "ask-yes"
        await keyboard.press("Enter")
        await settled(lambda: state(app, "b") == "draining")
        await page.until("!document.querySelector('dialog').open")
        assert await page.run("document.activeElement.closest('tr').dataset.backend") == "b"
        await page.until("document.querySelector('#said').textContent.includes('draining')")


async def test_the_cache_is_shown_and_purged() -> None:
    """Hits and entries as they are; what is purged for one route is gone after a confirmation."""
    async with Backend(answers(ok())) as backend, gateway(backend.url, **KEPT) as app:
        await ask(app, 4, get("/same"))
        async with console(app) as page:
            await page.until(
                "document.querySelector('#cache-body .facts').textContent.startsWith('1 answer ')"
            )
            cells = await page.page.locator('#cache-body tr[data-route="all"] td').all_inner_texts()
            assert cells[1] == "75.0 %" and cells[4:] == ["3", "0", "0", "1", "0"]
            await page.page.click("#purge")
            await page.page.select_option("#purge-route", "all")
            await page.page.click("#ask-yes")
            await page.until("document.querySelector('#said').textContent === '1 answer purged'")
            assert app.cache is not None and app.cache.memory.figures.entries == 0
            await page.until(
                "document.querySelector('#cache-body .facts').textContent.startsWith('0 answers')"
            )


async def test_a_refusal_is_shown_where_it_was_asked() -> None:
    """The dialog stays and says what the gateway said."""
    async with scripted(answers(ok())) as (app, _), console(app) as page:
        page.away = True  # the refusal is a failed resource to the browser
        await page.row("a").get_by_role("button").click()
        app.pools["default"].backends[0].name = "another"
        await page.page.click("#ask-yes")
        await page.until(
            "document.querySelector('#ask-error').textContent.includes('no backend of that name')"
        )
        assert await page.run("document.querySelector('dialog').open")


async def test_it_survives_the_gateway() -> None:
    """A banner while it is gone; afterwards all goes on, the restart is told and no rate is ever negative."""
    async with Backend(answers(ok())) as backend:
        data: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "log": {"access": "off"},
            "pools": {"default": {"backends": [{"url": backend.url, "name": "a"}], "health": {"path": None}}},
        }
        first = App(from_dict({**data, "admin": "127.0.0.1:0"}))
        await first.start()
        assert first.admin_address is not None
        host, port = first.admin_address
        await ask(first, 40)
        async with console(first) as page:
            await page.until("document.querySelector('#vitals .note').textContent === '40 in all'")
            await page.run(WATCH_RATES)
            page.away = True
            await first.close()
            await page.until("!document.querySelector('#banner').hidden")
            assert re.match(r"Gateway unreachable since \d\d:\d\d:\d\d, retrying", await page.text("#banner"))
            assert await page.text("#ready-word") == "unknown"
            second = App(from_dict({**data, "admin": f"{host}:{port}"}))
            await second.start()
            try:
                await ask(second, 3)
                await page.until("document.querySelector('#banner').hidden")
                page.away = False
                await page.until("document.querySelector('#ready-word').textContent === 'ready'")
                await page.until("document.querySelector('#vitals .note').textContent === '3 in all'")
                await page.until("document.querySelector('#changes').textContent.includes('restarted')")
                assert await page.run("window.negative") == []
            finally:
                await second.close()
                page.away = True


#: Keeps every text with a figure below zero that the page ever shows.
WATCH_RATES = """
window.negative = [];
new MutationObserver(() => {
  for (const node of document.querySelectorAll('.figure, td')) {
    if (/(^|\\s)-\\d/.test(node.textContent)) window.negative.push(node.textContent);
  }
}).observe(document.body, {subtree: true, childList: true, characterData: true});
"""


async def test_nobody_listens_while_nobody_looks() -> None:
    """A page that was out of sight for a minute lets its connection go, and has it again when it is seen."""
    async with scripted(answers(ok())) as (app, _), console(app) as page:
        admin = app._admin
        assert admin is not None and admin.live_listeners == 1
        await page.page.clock.install()
        await page.run(SIGHT % "true")
        await page.page.clock.fast_forward(59_000)
        assert admin.live_listeners == 1
        await page.page.clock.fast_forward(2_000)
        await settled(lambda: admin.live_listeners == 0)
        assert await page.run("document.querySelector('#banner').hidden")
        await ask(app, 7)
        await page.run(SIGHT % "false")
        await page.until("document.querySelector('#vitals .note').textContent === '7 in all'")
        assert admin.live_listeners == 1


#: Makes the page believe that it is hidden, or that it is seen again.
SIGHT = """
Object.defineProperty(document, 'hidden', {configurable: true, get: () => %s});
document.dispatchEvent(new Event('visibilitychange'));
"""


async def test_another_version_brings_its_own_page() -> None:
    """When the gateway says that it is another version, the page loads itself anew."""
    async with scripted(answers(ok())) as (app, _), console(app) as page:
        await page.run("window.old = 1")
        app.version = "9.9.9"
        await page.until("document.querySelector('#version')?.textContent === '9.9.9' && !window.old")


async def test_two_hundred_backends() -> None:
    """All are listed, found and sorted; an update takes a fraction of the second there is for it."""
    backends = [{"url": f"http://127.0.0.1:9/{n}", "name": f"gpu-{n:03d}"} for n in range(200)]
    async with gateway(pools={"big": {"backends": backends, "health": {"path": None}}}) as app:
        for n in range(5, 200, 10):
            app.pools["big"].drain(f"gpu-{n:03d}")
        async with console(app) as page:
            assert await page.run("document.querySelectorAll('#pools tbody tr').length") == 200
            await page.page.fill("#find", "gpu-05")
            assert await page.text("#shown") == "10 of 200 shown"
            await page.page.fill("#find", "")
            await page.page.click("#out .more button")
            assert await page.text("#shown") == "20 of 200 shown"
            await page.page.select_option("#show", "all")
            await page.page.click("th.state button")
            names = "[...document.querySelectorAll('#pools tbody tr')].map((row) => row.dataset.backend)"
            first = (await page.run(names))[:20]
            assert first == [f"gpu-{n:03d}" for n in range(5, 200, 10)]
            assert (
                await page.run("document.querySelector('th.state').getAttribute('aria-sort')") == "ascending"
            )
            await page.page.click("th.state button")
            assert (await page.run(names))[-20:] == first[::-1]
            await page.run("document.querySelector('tr[data-backend=gpu-199]').mark = 1")
            app.pools["big"].drain("gpu-199")
            await page.until("document.querySelector('tr[data-backend=gpu-199]').dataset.word === 'draining'")
            assert await page.run("document.querySelector('tr[data-backend=gpu-199]').mark") == 1


async def test_why_a_request_went_where_it_went() -> None:
    """An opened decision has candidates with scores, the chosen one marked, and who was left out with the
    reason; it stays while newer ones come, and says how many those are."""
    async with scripted(answers(ok()), answers(ok()), answers(ok())) as (app, _), console(app) as page:
        app.pools["default"].drain("c")
        await ask(app, 2)
        await page.until("document.querySelectorAll('#decision-list details').length === 2")
        await page.page.click("#decision-list summary")
        await page.page.wait_for_selector("#decision-list .reasons")
        text = await page.text("#decision-list .reasons")
        assert "by round_robin" in text and "◂ chosen" in text and "draining: drained by an operator" in text
        assert await page.run("document.querySelectorAll('#decision-list .attempt tbody tr').length") == 2
        await ask(app, 3)
        await page.until("document.querySelector('#held').textContent === '3 newer'")
        assert await page.run("document.querySelectorAll('#decision-list details').length") == 2
        await page.page.click("#hold")
        await page.until("document.querySelectorAll('#decision-list details').length === 5")


async def test_a_long_decision_is_shown_whole_on_demand() -> None:
    """With more candidates than a stream carries, the rest is a click away."""
    backends = [{"url": f"http://127.0.0.1:9/{n}", "name": f"gpu-{n:03d}"} for n in range(30)]
    async with gateway(pools={"big": {"backends": backends, "health": {"path": None}}}) as app:
        await ask(app, 1)
        async with console(app) as page:
            await page.page.click("#decision-list summary")
            await page.page.click("#decision-list .attempt button >> nth=0")
            await page.until(
                "document.querySelectorAll('#decision-list .attempt:first-of-type tbody tr').length === 30"
            )


async def hostile(conversation: Conversation) -> None:
    while await conversation.request():
        await conversation.send(FAILED)


async def test_what_others_say_is_text() -> None:
    """Markup in names of models, request ids, paths and errors is shown as it is and never runs."""
    async with scripted(hostile) as (app, _):
        app.pools["default"].backend("a").name = HOSTILE
        app.pools["default"].backend(HOSTILE).why = HOSTILE
        app.metrics.route(HOSTILE).requests[("GET", 500)] = 1
        body = json.dumps({"model": HOSTILE}).encode()
        async with await call(app) as client:
            await client.ask(post(body, "/%3Cscript%3E", f"X-Request-ID: {HOSTILE[:20]}"))
        async with console(app) as page:
            assert await page.run("document.querySelector('#pools tbody tr').dataset.backend") == HOSTILE
            await page.page.click("#decision-list summary")
            await page.page.wait_for_selector("#decision-list .reasons")
            assert HOSTILE in await page.text("#decision-list")
            assert HOSTILE in await page.text("#routes")
            await page.run("document.querySelector('#pools .act button').click()")
            assert HOSTILE in await page.text("#ask-title")
            assert await page.run("window.pwned") is None
            assert await page.run("document.querySelectorAll('main script, main img').length") == 0


async def test_the_policy_lets_nothing_else_run() -> None:
    """A script put into the page by whatever means does not run: the browser refuses it."""
    async with scripted(answers(ok())) as (app, _), console(app) as page:
        await page.run(
            "document.body.append(Object.assign(document.createElement('script'), {text: 'pwned = 1'}))"
        )
        assert await page.run("window.pwned") is None
        assert len(page.wrong) == 1 and "Content Security Policy" in page.wrong.pop()


async def test_the_configuration_is_in_the_page() -> None:
    """As the file would say it, without secrets."""
    routes = [{"name": "r", "match": {"headers": {"x-key": "s3cret"}}, "pool": "default"}]
    async with gateway("http://127.0.0.1:9", routes=routes) as app, console(app) as page:
        await page.until("document.querySelectorAll('#config details').length > 5")
        text = await page.text("#config")
        assert "default:\n  policy: least_latency\n  backends:\n    - url: http://127.0.0.1:9\n" in text
        assert "s3cret" not in text and "x-key" in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1440])
async def test_it_fits(width: int, scheme: str) -> None:
    """Down to 360 pixels nothing is cut off sideways, and the figures that matter are in sight."""
    async with scripted(answers(ok()), answers(ok())) as (app, _):
        app.pools["default"].drain("b")
        await ask(app, 5)
        async with console(app, width, 780, color_scheme=scheme) as page:
            await page.until("document.querySelectorAll('#decision-list details').length === 5")
            assert await page.run("document.documentElement.scrollWidth") <= width
            box = await page.page.locator("#vitals .figure").first.bounding_box()
            assert box["y"] < 780 and box["x"] + box["width"] <= width
            dark = await page.run("getComputedStyle(document.body).backgroundColor")
            assert (dark == "rgb(19, 21, 23)") == (scheme == "dark")


async def test_it_can_be_used_without_sight() -> None:
    """Every control has a name, headings go down one by one, tables have heads, landmarks are there, ids are
    unique, and still with reduced motion nothing moves by itself."""
    async with Backend(answers(ok())) as backend, gateway(backend.url, **KEPT) as app:
        await ask(app, 3)
        async with console(app, reduced_motion="reduce") as page:
            await page.until("document.querySelectorAll('#decision-list details').length > 0")
            assert await page.run(UNNAMED) == []
            levels = await page.run(
                "[...document.querySelectorAll('h1,h2,h3,h4,h5')].map((h) => +h.tagName[1])"
            )
            assert levels[0] == 1 and levels.count(1) == 1
            visible = [level for level in levels if level <= 3]
            assert all(after - before <= 1 for before, after in pairwise(visible))
            for landmark in ("banner", "main", "navigation"):
                assert await page.page.get_by_role(landmark).count() == 1
            assert await page.run("document.documentElement.lang") == "en"
            ids = await page.run("[...document.querySelectorAll('[id]')].map((node) => node.id)")
            assert len(ids) == len(set(ids))
            tables = page.page.get_by_role("table")
            for number in range(await tables.count()):
                heads = tables.nth(number).get_by_role("columnheader")
                assert await heads.count() > 3
                assert await tables.nth(number).get_by_role("rowheader").count() > 0
            live = await page.run(
                "[...document.querySelectorAll('[aria-live], [role=status], output')].map((n) => n.id)"
            )
            assert sorted(live) == ["banner", "said"]
            behaviour = await page.run("getComputedStyle(document.documentElement).scrollBehavior")
            assert behaviour == "auto"


#: Controls without a name that can be told.
UNNAMED = """
[...document.querySelectorAll('button, a[href], input, select, [role=region], svg:not([aria-hidden])')]
  .filter((node) => node.checkVisibility())
  .filter((node) => !(node.textContent.trim() || node.getAttribute('aria-label') || node.title))
  .filter((node) => !node.labels?.length)
  .filter((node) => !document.getElementById(node.getAttribute('aria-labelledby'))?.textContent)
  .map((node) => node.outerHTML)
"""


async def test_a_phone_s_rows_are_still_a_table() -> None:
    """Stacked, each figure says what it is, and the roles of table, rows and cells stay."""
    async with scripted(answers(ok()), answers(ok())) as (app, _), console(app, 360, 780) as page:
        rows = page.page.get_by_role("table", name="default").get_by_role("row")
        assert await rows.count() >= 2
        label = await page.run("getComputedStyle(document.querySelector('td.share'), '::before').content")
        assert label == '"Share"'


async def test_it_works_below_a_path() -> None:
    """Behind a proxy that puts the console below a path of its own: the page loads, lives and drains."""
    async with (
        scripted(answers(ok()), answers(ok())) as (app, _),
        below(app, "/gw/one") as origin,
        console(app, origin=origin) as page,
    ):
        await page.until("document.querySelectorAll('#config details').length > 5")
        await page.row("a").get_by_role("button").click()
        await page.page.click("#ask-yes")
        await settled(lambda: state(app, "a") == "draining")
        await page.page.click("nav a[href=api]")
        assert await page.text("h1") == f"gateway {app.version}"
        await page.page.click("a:has-text('/api/status')")
        assert page.page.url == origin + "/api/status"


@contextlib.asynccontextmanager
async def below(app: App, prefix: str) -> AsyncIterator[str]:
    """A proxy that shows the admin side below `prefix`, as docs/console.md has it for nginx."""
    async with aiohttp.ClientSession(auto_decompress=False) as client:

        async def forward(request: web.Request) -> web.StreamResponse:
            fields = {"Accept": request.headers.get("Accept", "*/*")}
            path = request.path.removeprefix(prefix)
            async with client.request(request.method, admin_url(app, path), headers=fields) as answer:
                kept = ("Content-Type", "Content-Security-Policy")
                response = web.StreamResponse(
                    status=answer.status, headers={name: answer.headers[name] for name in kept}
                )
                await response.prepare(request)
                async for piece in answer.content.iter_any():
                    await response.write(piece)
                return response

        runner = web.AppRunner(server := web.Application(), handler_cancellation=True, shutdown_timeout=0.1)
        server.router.add_route("*", prefix + "{path:.*}", forward)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}{prefix}"
        finally:
            await runner.cleanup()


async def test_a_page_too_many_asks_instead() -> None:
    """Twenty-one pages are more than may listen: the last one asks instead, and says so."""
    async with scripted(answers(ok())) as (app, _), aiohttp.ClientSession(read_bufsize=1 << 22) as client:
        streams = [await client.get(admin_url(app, "/api/live")) for _ in range(20)]
        try:
            async with console(app, ready=False) as page:
                await page.page.wait_for_selector("#live[data-live=polling]")
                await page.until("document.querySelectorAll('#pools tbody tr').length > 0")
                streams.pop().close()
                await page.page.wait_for_selector("#live[data-live=live]")
        finally:
            for stream in streams:
                stream.close()

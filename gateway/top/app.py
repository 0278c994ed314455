"""How does the screen get into a terminal, and a key out of it? With Textual.

Colours are the terminal's own sixteen on its own ground, so that light and dark ones look right, and only
lines that changed are sent, which is little over a slow line. The mouse is left to the terminal, so that text
can be selected and copied.
"""

import asyncio
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.events import Key, Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from gateway import clock
from gateway.top.client import Admin, Refused, Unreachable, session
from gateway.top.document import Overview
from gateway.top.frame import frame
from gateway.top.lines import Line
from gateway.top.view import Change, Quit, View

RETRY_S = 1.0
TICK_S = 1.0  # how often times since something are written anew


class Canvas(Widget, can_focus=True):
    """The whole terminal; `draw` shows lines, sending those that are new."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Line] = []

    def draw(self, lines: list[Line]) -> None:
        """Show these in place of the last ones."""
        old, self._lines = self._lines, lines
        changed = [
            Region(0, y, self.size.width, 1)
            for y, line in enumerate(lines)
            if y >= len(old) or old[y] != line
        ]
        if len(old) != len(lines):
            self.refresh()
        elif changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        line = self._lines[y] if y < len(self._lines) else []
        strip = Strip([Segment(piece, _style(style)) for piece, style in line])
        return strip.adjust_cell_length(self.size.width, Style.null())


@lru_cache(maxsize=256)
def _style(words: str) -> Style:
    return Style.parse(words) if words else Style.null()


class Top(App[None]):
    """Shows `view` until somebody quits, asking its gateway every `interval_s`."""

    CSS = "Screen, Canvas { background: ansi_default; color: ansi_default; width: 100%; height: 100%; }"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [Binding("ctrl+c", "quit", show=False, priority=True)]  # noqa: RUF012 - Textual's way
    TITLE = "gateway top"

    def __init__(self, view: View, interval_s: float) -> None:
        super().__init__(ansi_color=True)
        self.view = view
        self._interval_s = interval_s
        self._canvas = Canvas()

    def compose(self) -> ComposeResult:
        yield self._canvas

    def on_mount(self) -> None:
        self._canvas.focus()
        self.run_worker(self._watch(), group="watch")
        self.set_interval(TICK_S, self.show)

    def on_resize(self, event: Resize) -> None:
        self.call_after_refresh(self.show)

    def show(self) -> None:
        """Put the view on the screen as it is now."""
        width, height = self._canvas.size
        if width and height:
            self._canvas.draw(frame(self.view, width, height, clock.wall()))

    def on_key(self, event: Key) -> None:
        event.stop()
        event.prevent_default()
        todo = self.view.key(event.key)
        if isinstance(todo, Quit):
            self.exit()
        elif isinstance(todo, Change):
            self.run_worker(self._change(todo), group="change")
        self.show()

    async def _watch(self) -> None:
        async with session() as asked:
            while True:
                await self._listen(Admin(self.view.url, asked))
                self.show()
                await asyncio.sleep(RETRY_S)

    async def _listen(self, admin: Admin) -> None:
        """Show what comes until it ends, and keep why it did."""
        try:
            async for came in admin.live(self._interval_s):
                if isinstance(came, Overview):
                    self.view.heard(came)
                else:
                    self.view.decided(came)
                self.show()
        except Unreachable as error:
            self.view.history.failed(error.why, clock.wall())
        except Refused as error:
            self.view.history.failed(str(error), clock.wall())

    async def _change(self, change: Change) -> None:
        try:
            async with session() as asked:
                state = await Admin(self.view.url, asked).change(change.pool, change.backend, change.what)
            self.view.said = f"{change.backend} of pool {change.pool} is {state} now"
        except (Unreachable, Refused) as error:
            self.view.said = f"{change.what} {change.backend} failed: {error}"
        self.show()

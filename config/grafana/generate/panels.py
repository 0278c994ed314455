"""What is a panel, and how does it look? The declaration, and what the SDK makes of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as ways
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from config.grafana.generate.names import Labels, UnknownNameError, labels_of
from config.grafana.generate.queries import STATE_LOOKS, Query

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
Kind = Literal["lines", "steps", "stacked", "number", "bars", "states"]
GREEN, YELLOW, RED = "green", "orange", "red"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: what it says, what to do when that is bad, and its queries.

    `unit` is one of Grafana's. `warn` and `alarm` are thresholds in that unit; None: there is none. With
    `low_is_bad` what lies below is bad, else what lies above. `runbook` is a heading of docs/monitoring.md.
    Sizes are in Grafana's grid, which is 24 wide.
    """

    title: str
    says: str
    bad: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "lines"
    warn: float | None = None
    alarm: float | None = None
    low_is_bad: bool = False
    most: float | None = None
    runbook: str = ""
    width: int = 8
    height: int = 8
    instant: bool = False

    @property
    def description(self) -> str:
        """What is shown beside the title."""
        more = f" Runbook: docs/monitoring.md, {self.runbook}." if self.runbook else ""
        return f"{self.says}\n\n**When it is bad:** {self.bad}{more}"


class _Common(Protocol):
    """What the SDK's builders of panels have in common."""

    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def datasource(self, datasource: models.DataSourceRef) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def min(self, min_val: float) -> Self: ...
    def max(self, max_val: float) -> Self: ...
    def height(self, h: int) -> Self: ...
    def span(self, w: int) -> Self: ...
    def thresholds(self, thresholds: Builder[models.ThresholdsConfig]) -> Self: ...
    def color_scheme(self, color: Builder[models.FieldColor]) -> Self: ...
    def with_target(self, target: Builder[Dataquery]) -> Self: ...


P = TypeVar("P", bound=_Common)


def checked(query: Query, names: Mapping[str, Labels]) -> None:
    """Raise UnknownNameError unless all names of a query, and the labels its legend shows, exist."""
    labels = labels_of(query.expr, names)
    for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
        if label not in labels:
            raise UnknownNameError(f"the legend shows {label}, which is no label of {query.expr}")


def target(query: Query, ref: str, instant: bool = False, table: bool = False) -> prometheus.Dataquery:
    """A query as Grafana has it; `instant` asks for now alone."""
    made = prometheus.Dataquery().datasource(SOURCE).ref_id(ref).expr(query.expr)
    made = made.legend_format(query.legend)
    made = made.instant() if instant else made.range()
    return made.format(PromQueryFormat.TABLE if table else PromQueryFormat.TIME_SERIES)


def steps(panel: Panel) -> dashboard.ThresholdsConfig:
    """The thresholds of a panel; the first has no value, it is what lies below all others."""
    good = models.Threshold(None, GREEN)
    found = [good]
    if panel.low_is_bad:
        found = [models.Threshold(None, RED if panel.alarm is not None else GREEN)]
        if panel.alarm is not None:
            found.append(models.Threshold(panel.alarm, YELLOW if panel.warn is not None else GREEN))
        if panel.warn is not None:
            found.append(models.Threshold(panel.warn, GREEN))
    else:
        found += [models.Threshold(panel.warn, YELLOW)] if panel.warn is not None else []
        found += [models.Threshold(panel.alarm, RED)] if panel.alarm is not None else []
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


def build(panel: Panel, names: Mapping[str, Labels]) -> Builder[models.Panel]:
    """The panel as the SDK builds it.

    Raises UnknownNameError where a query uses a name that is not in `names`.
    """
    for query in panel.queries:
        checked(query, names)
    if panel.kind == "number":
        return _shared(_number(), panel, by_threshold=True)
    if panel.kind == "bars":
        return _shared(_bars(), panel, by_threshold=True)
    if panel.kind == "states":
        return _shared(_states(), panel, by_threshold=True)
    return _shared(_lines(panel), panel, by_threshold=False)


def _shared(made: P, panel: Panel, by_threshold: bool) -> P:
    """What every kind has."""
    mode = models.FieldColorModeId
    made.title(panel.title).description(panel.description).datasource(SOURCE).unit(panel.unit).min(0)
    made.span(panel.width).height(panel.height).thresholds(steps(panel))
    made.color_scheme(
        dashboard.FieldColor().mode(mode.THRESHOLDS if by_threshold else mode.PALETTE_CLASSIC_BY_NAME)
    )
    if panel.most is not None:
        made.max(panel.most)
    for number, query in enumerate(panel.queries):
        made.with_target(target(query, chr(ord("A") + number), panel.instant))
    return made


def _legend(calcs: list[str]) -> common.VizLegendOptions:
    mode = ways.LegendDisplayMode.TABLE if calcs else ways.LegendDisplayMode.LIST
    made = common.VizLegendOptions().show_legend(True).display_mode(mode)
    return made.placement(ways.LegendPlacement.BOTTOM).calcs(calcs)


def _lines(panel: Panel) -> timeseries.Panel:
    made = timeseries.Panel().legend(_legend(["mean", "max", "lastNotNull"])).line_width(1).fill_opacity(8)
    made.show_points(ways.VisibilityMode.AUTO)
    made.tooltip(
        common.VizTooltipOptions().mode(ways.TooltipDisplayMode.MULTI).sort(ways.SortOrder.DESCENDING)
    )
    if panel.kind == "steps":
        made.line_interpolation(ways.LineInterpolation.STEP_AFTER)
    if panel.kind == "stacked":
        made.stacking(common.StackingConfig().mode(ways.StackingMode.NORMAL).group("A")).fill_opacity(30)
    elif panel.warn is not None or panel.alarm is not None:
        dashed = common.GraphThresholdsStyleConfig().mode(ways.GraphThresholdsStyleMode.DASHED)
        made.thresholds_style(dashed)
    return made


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def _number() -> stat.Panel:
    made = stat.Panel().reduce_options(_last()).graph_mode(ways.BigValueGraphMode.AREA)
    return made.color_mode(ways.BigValueColorMode.VALUE).text_mode(ways.BigValueTextMode.VALUE)


def _bars() -> bargauge.Panel:
    made = bargauge.Panel().reduce_options(_last()).orientation(ways.VizOrientation.HORIZONTAL)
    return made.display_mode(ways.BarGaugeDisplayMode.GRADIENT).legend(_legend([]))


def _states() -> statetimeline.Panel:
    words = {
        str(number): models.ValueMappingResult(text=text, color=color, index=number)
        for number, text, color in STATE_LOOKS.values()
    }
    made = statetimeline.Panel().merge_values(True).row_height(0.8).fill_opacity(75).line_width(0)
    return made.show_value(ways.VisibilityMode.AUTO).legend(_legend([])).mappings([models.ValueMap(words)])

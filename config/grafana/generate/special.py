"""How are the panels built that are no graph: the table of backends, the list of alerts, a text?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from grafana_foundation_sdk.builders import dashboard, table
from grafana_foundation_sdk.builders import text as texts
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.text import TextMode

from config.grafana.generate.names import Labels
from config.grafana.generate.panels import SOURCE, Panel, checked, steps, target
from config.grafana.generate.queries import STATE_LOOKS, Query


class Special(Protocol):
    """A panel that knows how it is built."""

    def build(self, names: Mapping[str, Labels]) -> Builder[models.Panel]:
        """As the SDK has it; raises UnknownNameError where a query uses a name that is not in `names`."""
        ...


@dataclass(frozen=True, slots=True)
class Table:
    """The last values of several queries side by side: a line for each set of `labels`, a column for each of
    `columns`, of which only the first query and the thresholds count."""

    about: Panel
    labels: tuple[str, ...]
    columns: tuple[Panel, ...]

    def build(self, names: Mapping[str, Labels]) -> Builder[models.Panel]:
        """As the SDK has it."""
        made = table.Panel().title(self.about.title).description(self.about.description).datasource(SOURCE)
        made.span(self.about.width).height(self.about.height).unit(self.about.unit)
        made.thresholds(steps(self.about)).show_header(True).filterable(True)
        titles = {}
        for number, column in enumerate(self.columns):
            ref = chr(ord("A") + number)
            query = Query(column.queries[0].expr, "")
            checked(Query(query.expr, " ".join(f"{{{{{label}}}}}" for label in self.labels)), names)
            made.with_target(target(query, ref, instant=True, table=True))
            titles[f"Value #{ref}"] = column.title
            made.override_by_name(column.title, self._looks(column))
        made.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
        order = [*self.labels, *titles]
        organize = {
            "excludeByName": {"Time": True, "job": True},
            "indexByName": {name: place for place, name in enumerate(order)},
            "renameByName": titles,
        }
        made.with_transformation(models.DataTransformerConfig(id_val="organize", options=organize))
        return made

    def _looks(self, column: Panel) -> list[models.DynamicConfigValue]:
        looks: dict[str, object] = {"unit": column.unit, "thresholds": steps(column).build()}
        cell = "color-background" if column.kind == "states" else "color-text"
        if column.kind == "states":
            words = {
                str(number): models.ValueMappingResult(text=text, color=colour, index=number)
                for number, text, colour in STATE_LOOKS.values()
            }
            looks["mappings"] = [models.ValueMap(words)]
        if column.kind == "states" or column.warn is not None or column.alarm is not None:
            looks["custom.cellOptions"] = {"type": cell}
        return [models.DynamicConfigValue(name, value) for name, value in looks.items()]


@dataclass(frozen=True, slots=True)
class Alerts:
    """The list of Prometheus' alerts of the chosen job, those that fire first."""

    about: Panel

    def build(self, names: Mapping[str, Labels]) -> Builder[models.Panel]:
        """As the SDK has it."""
        options = {
            "viewMode": "list",
            "groupMode": "default",
            "groupBy": [],
            "maxItems": 20,
            "sortOrder": 3,  # by importance
            "dashboardAlerts": False,
            "alertName": "Gateway",
            "alertInstanceLabelFilter": '{job=~"${job:regex}"}',
            "showInstances": False,
            "stateFilter": {"firing": True, "pending": True, "noData": False, "normal": False, "error": True},
        }
        made = dashboard.Panel().type("alertlist").title(self.about.title)
        made.description(self.about.description).unit(self.about.unit).thresholds(steps(self.about))
        return made.span(self.about.width).height(self.about.height).options(options)


@dataclass(frozen=True, slots=True)
class Text:
    """A few words of Markdown."""

    about: Panel
    markdown: str

    def build(self, names: Mapping[str, Labels]) -> Builder[models.Panel]:
        """As the SDK has it."""
        made = texts.Panel().title(self.about.title).description(self.about.description)
        made.unit(self.about.unit).thresholds(steps(self.about)).mode(TextMode.MARKDOWN)
        return made.content(self.markdown).span(self.about.width).height(self.about.height)

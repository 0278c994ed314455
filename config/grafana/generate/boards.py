"""What do all boards share? Variables, annotations, links to each other, rows, and the form of their JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from config.grafana.generate.names import Labels, labels_of
from config.grafana.generate.panels import SOURCE, Panel, build
from config.grafana.generate.queries import BACKEND, JOB, POOL, PROCESS
from config.grafana.generate.special import Special

TAG = "gateway"


@dataclass(frozen=True, slots=True)
class Row:
    """A headline and what stands below it."""

    title: str
    panels: tuple[Panel | Special, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard; `file` is also how its address ends. `variables` are names of VARIABLES."""

    file: str
    title: str
    says: str
    variables: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """What can be chosen at the top of a board: the values that a label has in a series."""

    series: str
    where: str
    says: str


#: By label, in the order in which they are shown.
VARIABLES = {
    "job": Variable("gateway_build_info", "", "Prometheus' job: a group of gateways."),
    "instance": Variable(
        "gateway_build_info",
        JOB,
        "One gateway process. Figures that rules have recorded are of all gateways of a job and do not"
        " change.",
    ),
    "route": Variable("gateway_requests_in_flight", JOB, "Routes; - is what no route took."),
    "pool": Variable("gateway_backend_up", JOB, "Pools of backends."),
    "backend": Variable("gateway_backend_up", f"{JOB}, {POOL}", "Model servers."),
}
#: What is marked on every board's graphs: name, query, colour, text, and the labels it needs.
MARKS = (
    ("Start of a gateway", f"changes(process_start_time_seconds{{{PROCESS}}}[$__rate_interval]) > 0", "blue"),
    ("Backend ejected", f'gateway_backend_state{{{PROCESS}, {BACKEND}, state="ejected"}} == 1', "orange"),
    ("Backend down", f'gateway_backend_state{{{PROCESS}, {BACKEND}, state="down"}} == 1', "red"),
    ("Panic", f"gateway_panic{{{PROCESS}, {POOL}}} == 1", "dark-red"),
)


def build_board(board: Board, names: Mapping[str, Labels]) -> models.Dashboard:
    """The dashboard as the SDK builds it, each panel with an id of its own.

    Raises UnknownNameError where anything on it uses a name that is not in `names`.
    """
    made = dashboard.Dashboard(board.title).uid(f"gateway-{board.file}").description(board.says)
    made.tags([TAG]).timezone("browser").time("now-1h", "now").refresh("30s").editable()
    made.tooltip(models.DashboardCursorSync.CROSSHAIR)
    made.with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    for label in board.variables:
        made.with_variable(_variable(label, names))
    for name, expr, colour in MARKS:
        made.annotation(_mark(name, expr, colour, board, names))
    made.link(_others())
    for row in board.rows:
        made.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            made.with_panel(build(panel, names) if isinstance(panel, Panel) else panel.build(names))
    built = made.build()
    for number, one in enumerate(built.panels or [], 1):
        one.id_val = number
    return built


def text(board: models.Dashboard) -> str:
    """The file: the same text for the same board."""
    plain = json.loads(json.dumps(board, cls=JSONEncoder))
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _variable(label: str, names: Mapping[str, Labels]) -> Builder[models.VariableModel]:
    variable = VARIABLES[label]
    selector = f"{variable.series}{{{variable.where}}}" if variable.where else variable.series
    if label not in labels_of(selector, names):
        raise LookupError(f"{variable.series} has no {label}")
    ask = f"label_values({selector}, {label})"
    made = dashboard.QueryVariable(label).label(label.capitalize()).description(variable.says)
    made.datasource(SOURCE).query(ask)
    made.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.NATURAL_ASC)
    everything = models.VariableOption(selected=True, text=["All"], value=["$__all"])
    return made.multi(True).include_all(True).all_value(".*").current(everything)


def _mark(
    name: str, expr: str, colour: str, board: Board, names: Mapping[str, Labels]
) -> Builder[models.AnnotationQuery]:
    for label in VARIABLES.keys() - set(board.variables):
        expr = expr.replace(f'{label}=~"${label}"', f'{label}=~".*"')
    labels_of(expr, names)
    made = dashboard.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(colour)
    return made.expr(expr)


def _others() -> dashboard.DashboardLink:
    made = dashboard.DashboardLink("The gateway's boards").type(models.DashboardLinkType.DASHBOARDS)
    made.tags([TAG]).as_dropdown(False).include_vars(True).keep_time(True)
    return made

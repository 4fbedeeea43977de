"""Writes Grafana's boards from `bellhouse.monitoring.boards`: `python deploy/monitoring/grafana.py [--check]`."""

import json
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final, assert_never

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models

from bellhouse.monitoring.boards import BOARDS
from bellhouse.monitoring.boards.board import Board, Kind, Mark, Panel, Row, Unit, Variable

DASHBOARDS: Final = Path(__file__).resolve().parent / "grafana" / "dashboards"

_UNITS: Final[dict[Unit, str]] = {
    "per_second": "cps",
    "percent": "percent",
    "seconds": "s",
    "count": "short",
    "bytes": "bytes",
    "money": "none",
    "cores": "none",
}
_WIDTH: Final = 24
_HEIGHTS: Final[dict[Kind, int]] = {"lines": 8, "stacked": 8, "states": 8, "bars": 8, "stat": 5}
_SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_ALL: Final = models.VariableOption(selected=True, text="All", value="$__all")


def text_of(board: Board) -> str:
    """The board as Grafana reads it."""
    built = _board(board).build()
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _board(board: Board) -> dashboard.Dashboard:
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.says)
        .tags(["bellhouse"])
        .timezone("browser")
        .refresh(board.refresh)
        .time(f"now-{board.window}", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .link(dashboard.DashboardLink("Bellhouse").tags(["bellhouse"]).as_dropdown(True).keep_time(True))
    )
    for variable in board.variables:
        made.with_variable(_variable(variable))
    for mark in board.marks:
        made.annotation(_Mark(mark))
    ids = count(1)
    for row in board.rows:
        made.with_row(dashboard.Row(row.title).id(next(ids)))
        height = max(_HEIGHTS[panel.kind] for panel in row.panels)
        for width, panel in zip(_widths(row), row.panels, strict=True):
            made.with_panel(_panel(panel).id(next(ids)).height(height).span(width))
    return made


def _widths(row: Row) -> Iterator[int]:
    """Equal shares of the grid; what does not divide goes to the first ones."""
    share, rest = divmod(_WIDTH, len(row.panels))
    for place in range(len(row.panels)):
        yield share + (place < rest)


def _variable(variable: Variable) -> Any:
    if variable.default:
        return dashboard.TextBoxVariable(variable.name).label(variable.label).default_value(variable.default)
    if variable.from_metric:
        chosen: Any = (
            dashboard.QueryVariable(variable.name)
            .query(f"label_values({variable.from_metric}, {variable.name})")
            .datasource(_SOURCE)
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(models.VariableSort.ALPHABETICAL_ASC)
        )
    else:
        chosen = dashboard.CustomVariable(variable.name).values(",".join(variable.values))
    return chosen.label(variable.label).multi(True).include_all(True).all_value(".*").current(_ALL)


class _Mark(dashboard.AnnotationQuery):
    """An annotation; its texts are the data source's own fields, which the kit's model does not have."""

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.name(mark.name).datasource(_SOURCE).enable(True).icon_color("blue").expr(mark.expr)
        self._mark = mark

    def build(self) -> models.AnnotationQuery:
        return _AnnotationQuery(super().build(), self._mark)


class _AnnotationQuery(models.AnnotationQuery):
    def __init__(self, built: models.AnnotationQuery, mark: Mark) -> None:
        self.__dict__.update(vars(built))
        self._mark = mark

    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), "titleFormat": self._mark.name, "textFormat": self._mark.text, "step": "15s"}


def _panel(panel: Panel) -> Any:
    made = _of_kind(panel)
    made.title(panel.title).description(panel.help).datasource(_SOURCE).unit(_UNITS[panel.unit])
    steps = [models.Threshold(value=None, color=panel.base)]
    steps += [models.Threshold(value=float(one.value), color=one.colour) for one in panel.thresholds]
    made.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    if panel.words:
        words = {str(w.value): models.ValueMappingResult(w.text, w.colour, None, w.value) for w in panel.words}
        made.mappings([models.ValueMap(words)])
    if panel.decimals is not None:
        made.decimals(panel.decimals)
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(letter)
        made.with_target(target.instant() if panel.kind in ("stat", "bars") else target.range())
    return made


def _of_kind(panel: Panel) -> Any:
    by_threshold = dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS)
    match panel.kind:
        case "lines" | "stacked":
            return _lines(panel)
        case "stat":
            colour = options.BigValueColorMode.BACKGROUND
            return stat.Panel().color_mode(colour).color_scheme(by_threshold).reduce_options(_last())
        case "bars":
            made = bargauge.Panel().orientation(options.VizOrientation.HORIZONTAL).reduce_options(_last()).min(0)
            made.display_mode(options.BarGaugeDisplayMode.BASIC).color_scheme(by_threshold)
            return made if panel.top is None else made.max(panel.top)
        case "states":
            made = statetimeline.Panel().show_value(options.VisibilityMode.AUTO).merge_values(True)
            return made.color_scheme(by_threshold).fill_opacity(80)
        case _:
            assert_never(panel.kind)


def _lines(panel: Panel) -> Any:
    legend = common.VizLegendOptions().show_legend(True).display_mode(options.LegendDisplayMode.LIST)
    tooltip = common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING)
    made = timeseries.Panel().legend(legend.placement(options.LegendPlacement.BOTTOM)).tooltip(tooltip)
    made.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    made.line_width(1).axis_soft_min(0).show_points(options.VisibilityMode.NEVER).fill_opacity(10)
    if panel.top is not None:
        made.axis_soft_max(panel.top)
    if panel.thresholds:
        style = common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED)
        made.thresholds_style(style)
    if panel.kind == "stacked":
        made.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL).group("A")).fill_opacity(40)
    return made


def _last() -> Any:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def main() -> int:
    """Write every board that differs; with `--check`, only name those and answer 1."""
    stale = [board for board in BOARDS if kept(board) != text_of(board)]
    for board in stale:
        print(path_of(board).name)
        if "--check" not in sys.argv:
            path_of(board).write_text(text_of(board), encoding="utf-8")
    return 1 if stale and "--check" in sys.argv else 0


def path_of(board: Board) -> Path:
    """Where a board's JSON is kept."""
    return DASHBOARDS / f"{board.uid}.json"


def kept(board: Board) -> str:
    """The JSON that is kept; empty where there is none."""
    path = path_of(board)
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())

"""The four boards, as data: `deploy/monitoring/grafana.py` makes Grafana's JSON from them."""

from typing import Final

from bellhouse.monitoring.boards.board import Board
from bellhouse.monitoring.boards.costs import COST_TRACKING
from bellhouse.monitoring.boards.overview import NOTIFICATION_OVERVIEW
from bellhouse.monitoring.boards.product import PRODUCT
from bellhouse.monitoring.boards.providers import PROVIDER_HEALTH

BOARDS: Final[tuple[Board, ...]] = (NOTIFICATION_OVERVIEW, PROVIDER_HEALTH, PRODUCT, COST_TRACKING)

__all__ = ["BOARDS"]

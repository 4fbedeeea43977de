"""What counting and logging cost: microseconds of CPU per call, per value and per line, beside prometheus_client.

Run it alone: `python -m benchmarks.telemetry`.
"""

import os
import random
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from bellhouse.adapters.clock import SystemClock
from bellhouse.domain.ids import RecipientNo, TenantNo, delivery_id, new_notification_ids
from bellhouse.domain.notification import Notification
from bellhouse.domain.words import CHANNELS, PRIORITIES
from bellhouse.observability.catalogue import SECONDS
from bellhouse.observability.logs import configure
from bellhouse.observability.merge import MetricsExchange
from bellhouse.observability.metrics import Metrics
from bellhouse.ports.log import GROUP_OF
from bellhouse.ports.telemetry import NullLogbook

ROUNDS = 5


def cost(name: str, call: Callable[[], object], calls: int, each: int = 1, unit: str = "us") -> None:
    """Print the best of some rounds: CPU time per call, or per each of the items that a call handles."""
    best = min(_once(call, calls) for _ in range(ROUNDS)) / calls / each
    print(f"{name:<66} {best * (1e6 if unit == 'us' else 1e3):9.3f} {unit}")


def _once(call: Callable[[], object], calls: int) -> float:
    started = time.process_time()
    for _ in range(calls):
        call()
    return time.process_time() - started


def _metrics() -> None:
    metrics = Metrics("bulk", 0)
    values = [random.random() * 3 for _ in range(500)]
    cost("counter, a batch's call", lambda: metrics.sent("push", "fcm", "success", 500), 100_000)
    cost("histogram, one value", lambda: metrics.end_to_end("push", "normal", (0.2,)), 50_000)
    cost("histogram, each of 50 values", lambda: metrics.end_to_end("push", "normal", values[:50]), 5_000, 50)
    cost("histogram, each of 500 values", lambda: metrics.end_to_end("push", "normal", values), 1_000, 500)

    def batch() -> None:
        """Everything that the whole way of 500 pushes counts."""
        metrics.received("normal", "order", 500)
        metrics.validated("normal", "order", 500)
        metrics.produced("notifications.normal", 500)
        metrics.routed("push", "normal", 500)
        metrics.produced("deliveries.push.normal", 500)
        metrics.routing_took("normal", values)
        metrics.sent("push", "fcm", "success", 500)
        metrics.provider_answered("fcm", "200", "accepted", 500)
        metrics.provider_took("fcm", values)
        metrics.delivery_took("push", "fcm", values)
        metrics.cost("push", "fcm", "USD", 0.0, TenantNo(1), None)
        metrics.callbacks("fcm", "applied", 500)
        metrics.callback_delay("fcm", values)
        metrics.delivered("push", "order", 500)
        metrics.end_to_end("push", "normal", values)

    cost("all metrics of the whole way, per notification in batches of 500", batch, 200, 500)


def _prometheus() -> None:
    registry = CollectorRegistry()
    counter = Counter("sent_total", "x", ["channel", "type"], registry=registry)
    histogram = Histogram("took_seconds", "x", ["channel", "type"], buckets=SECONDS, registry=registry)
    children = [counter.labels(str(i), str(j)) for i, j in product(range(20), range(52))]
    spread = [histogram.labels(str(i), str(j)) for i, j in product(range(5), range(10))]
    cost("prometheus_client: inc of a cached child", lambda: children[0].inc(500), 100_000)
    cost("prometheus_client: observe of a cached child", lambda: spread[0].observe(0.2), 50_000)
    lines = generate_latest(registry).count(b"\n")
    cost(f"prometheus_client: collect, {lines} lines", lambda: list(registry.collect()), 10, unit="ms")
    cost(f"prometheus_client: generate_latest, {lines} lines", lambda: generate_latest(registry), 10, unit="ms")


def _scrape(folder: str) -> None:
    metrics = Metrics("bulk", 0)
    types = [f"type{i}" for i in range(50)]
    metrics.register("type", types)
    for channel, priority in product(CHANNELS, PRIORITIES):
        metrics.end_to_end(channel, priority, (0.2, 3.0))
    for channel, of_type in product(CHANNELS, types):
        metrics.delivered(channel, of_type)
    for priority, of_type in product(PRIORITIES, types):
        metrics.received(priority, of_type)
        metrics.validated(priority, of_type)
    metrics.share(
        "kafka_consumer_lag",
        (((topic, str(number), group), 5.0) for (topic, group), number in product(GROUP_OF.items(), range(20))),
    )
    exchange = MetricsExchange(metrics, Path(folder), SystemClock(), NullLogbook())
    lines = exchange.exposition().count(b"\n")
    cost(f"ours: snapshot saved, as every second, {lines} lines", exchange.save, 50, unit="ms")
    cost(f"ours: /metrics answered, {lines} lines", exchange.exposition, 50, unit="ms")


def _logs() -> None:
    with Path(os.devnull).open("wb") as nowhere:
        clock = SystemClock()
        ids = new_notification_ids(clock.now(), 500)
        delivery = delivery_id(ids[0], 1)
        tenant, user = TenantNo(1), RecipientNo(2)
        batch = [Notification(i, tenant, user, "u1", "order", "low", b"{}", 1, 1, 1) for i in ids]
        book = configure("push-worker", clock, nowhere, sample="off")
        cost(
            "log line of an attempt, switched off",
            lambda: book.delivery_attempted(delivery, "push", "fcm", True, 9.9),
            100_000,
        )
        cost("log lines of a batch of 500, switched off, each", lambda: book.notifications_received(batch), 10_000, 500)
        book = configure("push-worker", clock, nowhere)
        cost(
            "log line of an attempt, sampled at volume, mean",
            lambda: book.delivery_attempted(delivery, "push", "fcm", True, 9.9),
            200_000,
        )
        cost(
            "log lines of a batch of 500, sampled at volume, each",
            lambda: book.notifications_received(batch),
            2_000,
            500,
        )
        book = configure("push-worker", clock, nowhere, sample="all")
        cost(
            "log line of an attempt, written",
            lambda: book.delivery_attempted(delivery, "push", "fcm", True, 9.9),
            10_000,
        )
        error = "550 5.1.1 <bob@example.com>: Recipient address rejected: User unknown"
        cost(
            "log line of a failure with its error masked, written",
            lambda: book.delivery_attempted(delivery, "push", "fcm", False, 9.9, error),
            10_000,
        )


def main() -> None:
    _metrics()
    _prometheus()
    with tempfile.TemporaryDirectory() as folder:
        _scrape(folder)
    _logs()


if __name__ == "__main__":
    main()

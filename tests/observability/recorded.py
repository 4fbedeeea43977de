"""A logbook that keeps what it is told."""

from bellhouse.ports.telemetry import LogField, LogLevel, NullLogbook


class RecordedLogbook(NullLogbook):
    """Keeps every note; the catalogue's lines go nowhere."""

    def __init__(self) -> None:
        self.notes: list[tuple[LogLevel, str, dict[str, LogField]]] = []

    def note(self, level: LogLevel, message: str, **fields: LogField) -> None:  # type: ignore[override]  # it keeps
        self.notes.append((level, message, fields))

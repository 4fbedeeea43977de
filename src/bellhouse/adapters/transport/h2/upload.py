"""Request bodies against the peer's windows: what may go now, and what waits for a WINDOW_UPDATE (RFC 9113, 5.2)."""

from bellhouse.adapters.transport.h2 import frames
from bellhouse.adapters.transport.h2.frames import Fault


class Upload:
    """A body of which a part is still here."""

    __slots__ = ("at", "body", "window")

    def __init__(self, body: bytes, window: int) -> None:
        self.body = body
        self.at = 0
        self.window = window


class Uploads:
    """The send side of one connection's flow control. Bodies that fit at once never become an `Upload`."""

    def __init__(self) -> None:
        self.window = frames.DEFAULT_WINDOW
        """What the connection may still send."""
        self.frame_size = frames.DEFAULT_FRAME_SIZE
        self.active: dict[int, Upload] = {}
        self._initial = frames.DEFAULT_WINDOW
        self._fed = True

    @property
    def whole(self) -> int:
        """The largest body that one frame of a new stream may carry, the connection's window aside."""
        return min(self._initial, self.frame_size)

    @property
    def stuck(self) -> bool:
        """Whether a body waits for the connection's window: then no other may overtake it."""
        return bool(self.active) and self.window <= 0

    def begin(self, stream: int, body: bytes, out: list[bytes]) -> None:
        """Send as much of a body as the windows allow; the rest follows by `feed`."""
        upload = self.active[stream] = Upload(body, self._initial)
        self._push(stream, upload, out)

    def drop(self, stream: int) -> bool:
        """Forget a body; whether a part of it was still here."""
        return self.active.pop(stream, None) is not None

    def clear(self) -> None:
        """Forget all bodies."""
        self.active.clear()

    def widen(self, increment: int) -> None:
        """A WINDOW_UPDATE of the connection. Raises Fault beyond 2^31-1."""
        self.window += increment
        self._fed = False
        if self.window > frames.MAX_WINDOW:
            raise Fault(frames.FLOW_CONTROL_ERROR, "the connection's window is too large")

    def widen_stream(self, stream: int, increment: int) -> bool:
        """A WINDOW_UPDATE of a stream; False beyond 2^31-1."""
        upload = self.active.get(stream)
        if upload is not None:
            upload.window += increment
            self._fed = False
        return upload is None or upload.window <= frames.MAX_WINDOW

    def set_initial(self, value: int) -> None:
        """The peer's SETTINGS_INITIAL_WINDOW_SIZE, which also moves the windows of open streams."""
        if value > frames.MAX_WINDOW:
            raise Fault(frames.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is too large")
        for upload in self.active.values():
            upload.window += value - self._initial
            if upload.window > frames.MAX_WINDOW:
                raise Fault(frames.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE makes a window too large")
        self._initial = value
        self._fed = False

    def set_frame_size(self, value: int) -> None:
        """The peer's SETTINGS_MAX_FRAME_SIZE."""
        if not frames.DEFAULT_FRAME_SIZE <= value < 2**24:
            raise Fault(frames.PROTOCOL_ERROR, "unlawful MAX_FRAME_SIZE")
        self.frame_size = value

    def feed(self, out: list[bytes]) -> None:
        """Send on what waited, oldest first, after the windows moved."""
        if self._fed:
            return
        self._fed = True
        for stream, upload in list(self.active.items()):
            if self.window <= 0:
                break
            self._push(stream, upload, out)

    def _push(self, stream: int, upload: Upload, out: list[bytes]) -> None:
        size = len(upload.body)
        while (piece := min(size - upload.at, self.window, upload.window, self.frame_size)) > 0:
            data = upload.body[upload.at : upload.at + piece]
            upload.at += piece
            upload.window -= piece
            self.window -= piece
            flags = frames.END_STREAM if upload.at == size else 0
            out.append(frames.frame(frames.DATA, flags, stream, data))
        if upload.at == size:
            del self.active[stream]

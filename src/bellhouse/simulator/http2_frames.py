"""HTTP/2's frames and error codes (RFC 9113, 4, 6 and 7)."""

from struct import Struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME = Struct(">BHBBL")  # length (1 + 2 bytes), type, flags, stream
LONG = Struct(">L")
SETTING = Struct(">HL")

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_ERROR = 0x0, 0x1, 0x2, 0x3
SIZE_ERROR, REFUSED, COMPRESSION_ERROR, CALM = 0x6, 0x7, 0x9, 0xB

FRAME_LIMIT = 16_384
TOP_WINDOW = 2**31 - 1


class ConnectionFault(Exception):
    """The peer broke the protocol; `code` goes into the GOAWAY."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    size = len(payload)
    return FRAME.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def unpadded(flags: int, payload: bytes) -> bytes:
    """The payload of DATA or HEADERS without its padding."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(PROTOCOL_ERROR, "padding")
    return payload[1 : len(payload) - payload[0]]

"""A batch-first HTTP/2 client over TLS: the transport port for providers that speak h2."""

from bellhouse.adapters.transport.h2.transport import H2Transport

__all__ = ["H2Transport"]

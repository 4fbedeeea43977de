"""Both HTTP transports keep the port's promises."""

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.transport.h2 import H2Transport
from bellhouse.adapters.transport.pyreqwest import PyreqwestTransport, TransportConfig
from bellhouse.ports.provider import Transport
from bellhouse.testing.transport_suite import TransportSuite


class TestH2(TransportSuite):
    def open(self, url: str, ca_pem: bytes) -> Transport:
        return H2Transport(url, SystemClock(), ca_pem=ca_pem)


class TestPyreqwest(TransportSuite):
    def open(self, url: str, ca_pem: bytes) -> Transport:
        return PyreqwestTransport(TransportConfig(url, http2=True, ca_pem=ca_pem))

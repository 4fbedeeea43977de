"""The route by which an operator probes now."""

from litestar import Controller, post

from bellhouse.ops.probes import Prober, ProbesAnswer
from bellhouse.web.rest import Given, needs, problems


class ProbesController(Controller):
    """Probing now."""

    path = "/v1/probes"
    tags = ("Operations",)

    @post(
        status_code=200,
        guards=[needs("operate")],
        summary="Probe every channel now",
        operation_id="probe",
        responses=problems(),
        response_description="One result for each channel, when all have ended",
    )
    async def now(self, prober: Given[Prober | None]) -> ProbesAnswer:
        """Sends one notification through each channel that has a recipient in `[probes]`, and waits for its end."""
        return ProbesAnswer([] if prober is None else await prober.probe(prober.channels))

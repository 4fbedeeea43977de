"""The two hot requests as Litestar handlers: so they are in the OpenAPI document, whoever answers them."""

from typing import Annotated, Any, Final

from litestar import Controller, Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, JSONBody

from bellhouse.ingest.api import IngestApi
from bellhouse.ingest.dryrun import DryRunAnswer
from bellhouse.ingest.wire import AcceptedAnswer, BatchAnswer, BatchRequest, NotificationRequest
from bellhouse.web.codes import ProblemCode
from bellhouse.web.reply import Reply
from bellhouse.web.rest import OF_BODY, Given, StrictRequest, body_of, caller_of, needs, problems

Api = Given[IngestApi]
_BUSY: Final[tuple[ProblemCode, ...]] = ("rate_limited", "degraded", "busy")


class IngestController(Controller):
    """Sending notifications."""

    path = "/v1/notifications"
    tags = ("Notifications",)

    @post(
        status_code=202,
        guards=[needs("send")],
        summary="Send a notification",
        operation_id="sendNotification",
        responses={
            200: ResponseSpec(DryRunAnswer, generate_examples=False, description="The dry run's plan; nothing is sent"),
            **problems(*OF_BODY, "idempotency_key_reused", *_BUSY),
        },
        response_description="It is durable and will be dealt with",
    )
    async def send_one(
        self,
        data: JSONBody[NotificationRequest],  # noqa: ARG002  # for the document; the use case reads the body itself
        request: StrictRequest,
        ingest_api: Api,
        idempotency_key: Annotated[  # noqa: ARG002  # as above
            str | None,
            HeaderParameter(
                name="Idempotency-Key",
                description="A repeat within 24 hours gets the first answer, and `Idempotent-Replayed: true`.",
            ),
        ] = None,
    ) -> Response[AcceptedAnswer]:
        """Accept one notification: durable before the answer; `dry_run` only says what would happen."""
        headers = dict(request.scope["headers"])
        return _response(await ingest_api.accept_one(caller_of(request), headers, body_of(request)))

    @post(
        "/batch",
        status_code=202,
        guards=[needs("send")],
        summary="Send up to 1,000 notifications",
        operation_id="sendNotifications",
        responses=problems(*OF_BODY, *_BUSY),
        response_description="One result for each item, in order",
    )
    async def send_many(
        self,
        data: JSONBody[BatchRequest],  # noqa: ARG002  # as above
        request: StrictRequest,
        ingest_api: Api,
    ) -> Response[BatchAnswer]:
        """Accept many notifications, each judged on its own: a faulty one is an error in its place."""
        headers = dict(request.scope["headers"])
        return _response(await ingest_api.accept_batch(caller_of(request), headers, body_of(request)))


def _response(reply: Reply) -> Response[Any]:
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    media_type = reply.content_type[1].decode()
    return Response(reply.body, status_code=reply.status, media_type=media_type, headers=headers)

"""The OpenAPI document and the reference page: complete, and from this host alone."""

import re
from typing import Any

import pytest

from bellhouse.web.codes import PROBLEMS
from bellhouse.web.examples import BODIES
from tests.api.face import Face


@pytest.fixture
async def document(face: Face) -> Any:
    answer = await face.call("GET", "/openapi.json", token="")
    assert answer.status == 200
    return answer.json


def operations(document: Any) -> list[tuple[str, str, Any]]:
    return [(method, path, found) for path, item in document["paths"].items() for method, found in item.items()]


EXPECTED = {
    "/v1/notifications": {"get", "post"},
    "/v1/notifications/batch": {"post"},
    "/v1/notifications/{notification_id}": {"get"},
    "/v1/notifications/{notification_id}/why": {"get"},
    "/v1/notifications/{notification_id}/trace": {"get"},
    "/v1/notifications/{notification_id}/cancel": {"post"},
    "/v1/recipients/batch": {"post"},
    "/v1/recipients/{user_id}": {"put", "get", "delete"},
    "/v1/recipients/{user_id}/preferences": {"put", "get"},
    "/v1/recipients/{user_id}/inbox": {"get"},
    "/v1/recipients/{user_id}/inbox/mark": {"post"},
    "/v1/suppressions/{address}": {"put", "get", "delete"},
    "/v1/types": {"get"},
    "/v1/types/{name}": {"put", "get"},
    "/v1/templates": {"get"},
    "/v1/templates/{name}": {"put", "get"},
    "/v1/templates/{name}/preview": {"post"},
    "/v1/dead-letters": {"get"},
    "/v1/dead-letters/replay": {"post"},
    "/v1/dead-letters/discard": {"post"},
    "/v1/breakers": {"get"},
    "/v1/breakers/{provider}/{act}": {"post"},
    "/v1/levers": {"get"},
    "/v1/levers/pause": {"post"},
    "/v1/levers/resume": {"post"},
    "/v1/levers/prefer": {"post"},
    "/v1/levers/rate": {"post"},
    "/v1/audit": {"get"},
    "/v1/providers": {"get"},
    "/v1/queue": {"get"},
    "/v1/queue/skip-expired": {"post"},
    "/v1/token-cleanup": {"post"},
    "/v1/providers/{name}/test": {"post"},
    "/v1/ledger": {"get"},
    "/v1/diagnosis": {"get"},
    "/v1/probes": {"post"},
    "/callbacks/{provider}": {"post"},
    "/healthz": {"get"},
    "/readyz": {"get"},
    "/metrics": {"get"},
}


def test_every_route_is_documented(document: Any) -> None:
    assert {path: set(item) for path, item in document["paths"].items()} == EXPECTED
    assert document["openapi"].startswith("3.1")


def test_every_operation_says_what_it_does_and_how_it_fails(document: Any) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for method, path, operation in operations(document):
        assert operation["summary"], path
        assert operation["description"], path
        assert "500" in operation["responses"], path
        if path.startswith("/v1/"):
            assert {"401", "403", "503"} <= set(operation["responses"]), path
        else:
            assert operation["security"] == [], path
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                problem = response["content"]["application/problem+json"]
                assert {PROBLEMS[code].status for code in problem["examples"]} == {int(status)}, (method, path)


def test_every_body_has_an_example(document: Any) -> None:
    for _, path, operation in operations(document):
        if "requestBody" in operation:
            [content] = operation["requestBody"]["content"].values()
            assert content.get("examples") or content.get("example"), path


def test_no_reference_leads_nowhere(document: Any) -> None:
    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                yield value["$ref"]
            for inner in value.values():
                yield from walk(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner)

    schemas = document["components"]["schemas"]
    references = set(walk(document))
    assert references
    assert all(reference.removeprefix("#/components/schemas/") in schemas for reference in references)


async def test_the_reference_page_loads_nothing_from_another_host(face: Face) -> None:
    page = await face.call("GET", "/docs", token="")
    text = page.body.decode()
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', text)
    own = [path for path in loaded if path.startswith("/docs/files/")]
    assert own
    for path in own:
        answer = await face.call("GET", path, token="")
        assert (answer.status, len(answer.body) > 50) == (200, True), path
    assert all(path.startswith(("/", "data:")) for path in loaded)
    assert "http" not in (await face.call("GET", "/docs/files/start.js", token="")).body.decode()


async def test_every_example_is_a_body_that_is_taken(face: Face, document: Any) -> None:
    documented = {operation["operationId"]: (method, path) for method, path, operation in operations(document)}
    names = {"user_id": "user-4711", "name": "order_shipped", "address": "ada@example.com"}
    for name, body in BODIES.items():
        method, path = documented[name]
        answer = await face.call(method.upper(), path.format(**names), body)
        assert answer.status in (200, 202), (name, answer.body)
        assert b'"error"' not in answer.body, (name, answer.body)
    with_body = {operation["operationId"] for _, _, operation in operations(document) if "requestBody" in operation}
    assert with_body == set(BODIES)


async def test_no_value_is_more_than_one_of_the_types_that_it_may_be(document: Any) -> None:
    waiting, seen = [document], 0
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            types = [choice.get("type") for choice in node.get("oneOf", []) if isinstance(choice, dict)]
            assert not {"integer", "number"} <= set(map(str, types)), node
            seen += bool(types)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    assert seen

"""The OpenAPI document, and the reference at `/docs`: Swagger UI from our own files, which asks no other host."""

from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.enums import OpenAPIMediaType
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.params import FromPath

from bellhouse.web.document import finished
from bellhouse.web.problems import Problem

ROOT: Final = "/docs"
DOCUMENT: Final = "/docs/openapi.json"
"""Where the framework serves the document; the front gives it the name that callers know, `/openapi.json`."""

_FOLDER: Final = Path(__file__).parent / "docs"
_TYPES: Final = {
    "start.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}


class ReferencePage(OpenAPIRenderPlugin):
    """The page itself, with a policy that lets nothing in from elsewhere."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        """The page's HTML; it fetches the document from `/openapi.json`."""
        return (_FOLDER / "index.html").read_bytes()


class Document(OpenAPIRenderPlugin):
    """The OpenAPI document as JSON, with examples, and without what the framework adds but we never answer."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json", media_type=OpenAPIMediaType.OPENAPI_JSON)
        self._rendered = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        """The document; it stays the same as long as the process runs."""
        self._rendered = self._rendered or msgspec.json.encode(finished(openapi_schema))
        return self._rendered


@get("/docs/files/{name:str}", include_in_schema=False)
async def asset(name: FromPath[str]) -> Response[bytes]:
    """One of the page's files."""
    if name not in _TYPES:
        raise Problem("not_found")
    headers = {"content-type": _TYPES[name], "x-content-type-options": "nosniff", "cache-control": "max-age=3600"}
    return Response((_FOLDER / name).read_bytes(), headers=headers)

"""``/docs``: the OpenAPI description for people, with Swagger UI from the package, not from elsewhere."""

from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

from catalogs.api.errors import NotFound

router = APIRouter(include_in_schema=False)
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " font-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_FILES = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon.png": "image/png",
}
_START = """window.addEventListener("load", () => SwaggerUIBundle({
  url: document.getElementById("swagger-ui").dataset.openapi,
  dom_id: "#swagger-ui", deepLinking: true, defaultModelsExpandDepth: -1, docExpansion: "list", validatorUrl: null,
  queryConfigEnabled: false,
}));
"""
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Qyran: API</title>
<link rel="icon" href="/docs/favicon.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui" data-openapi="/openapi.json"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""


@router.get("/docs", name="swagger_ui_html")
def page() -> Response:
    """The page."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _CSP})


@router.get("/docs/start.js")
def start() -> Response:
    """What starts the page: a file, as the page may hold no script."""
    return Response(_START, media_type="text/javascript")


@router.get("/docs/{name}")
def part(name: str) -> Response:
    """A file of Swagger UI."""
    if name not in _FILES:
        raise NotFound("there is no such file")
    return Response(_content(name), media_type=_FILES[name], headers={"Cache-Control": "max-age=86400"})


@cache
def _content(name: str) -> bytes:
    return (files("fastapi_offline") / "static" / name).read_bytes()

"""An OpenAPI document as one HTML page that loads nothing and runs no script."""

from __future__ import annotations

from html import escape
from typing import Any

_METHODS = ("get", "post", "put", "patch", "delete")

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem; text-transform: capitalize }
section { border-top: 1px solid #8884; padding: .75rem 0 }
h3 { margin: 0; font: 600 1rem ui-monospace, monospace; overflow-wrap: anywhere }
.method { display: inline-block; min-width: 4.5em; text-transform: uppercase; color: #2563eb }
p { margin: .25rem 0 }
table { border-collapse: collapse; margin: .5rem 0; font-size: .9rem }
td { border: 1px solid #8884; padding: .2rem .6rem; vertical-align: top }
code { font: .9em ui-monospace, monospace }
"""


def docs_page(spec: dict[str, Any]) -> str:
    """Every operation with its parameters, body fields and answers, grouped by tag."""
    title = escape(spec["info"]["title"])
    groups: dict[str, list[str]] = {}
    for path, item in spec.get("paths", {}).items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                tag = (operation.get("tags") or ["other"])[0]
                groups.setdefault(tag, []).append(_operation(spec, method, path, item, operation))
    body = "".join(f"<h2>{escape(tag)}</h2>{''.join(operations)}" for tag, operations in groups.items())
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>"
        "<p>OpenAPI document: <a href=openapi.json>openapi.json</a>. "
        "Errors are <code>application/problem+json</code>.</p>"
        f"{body}</html>"
    )


def _operation(spec: dict[str, Any], method: str, path: str, item: dict[str, Any], operation: dict[str, Any]) -> str:
    summary = " ".join(filter(None, (operation.get("summary"), operation.get("description"))))
    rows = [
        (parameter["name"], parameter["in"], _type_word(parameter.get("schema", {})))
        for parameter in (_resolve(spec, each) for each in item.get("parameters", []) + operation.get("parameters", []))
    ]
    for media in operation.get("requestBody", {}).get("content", {}).values():
        schema = _resolve(spec, media.get("schema", {}))
        required = schema.get("required", [])
        for name, field in schema.get("properties", {}).items():
            rows.append((name, "body" + (", required" if name in required else ""), _type_word(field)))
    answers = ", ".join(
        escape(f"{status} {_description(spec, answer)}") for status, answer in operation["responses"].items()
    )
    table = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<section><h3><span class=method>{method}</span> {escape(path)}</h3><p>{escape(summary)}</p>"
        f"{f'<table>{table}</table>' if table else ''}<p>{answers}</p></section>"
    )


def _resolve(spec: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow a local $ref ("#/components/…"); there are no others in our documents."""
    while "$ref" in node:
        target: Any = spec
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def _type_word(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    kind = schema.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _description(spec: dict[str, Any], answer: dict[str, Any]) -> str:
    return str(_resolve(spec, answer).get("description", ""))

"""What lets a plain script run as a marimo cell and still be the script Python would run.

marimo's own compiler would rename its _private names, forbid `from x import *` and allow a bare await. So
the script is compiled here, as Python compiles it; only its last expression becomes the cell's value.
"""

from __future__ import annotations
import __future__

import ast
import symtable
from collections.abc import Coroutine
from types import CodeType
from typing import Any, NamedTuple

_FUTURES = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})


class ScriptCode(NamedTuple):
    tree: ast.Module
    body: CodeType
    value: CodeType  # Of the last expression; of None when there is none.


def compile_script(source: str, filename: str) -> ScriptCode:
    """Raises what compile() raises."""
    tree = ast.parse(source, filename)
    value: ast.expr = ast.Constant(value=None)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr) and not _is_docstring(last, tree) and not _is_silenced(last, source):
        value = last.value
        tree.body.pop()
    body = compile(tree, filename, "exec", dont_inherit=True)
    futures = body.co_flags & _FUTURES  # `from __future__` holds for the value too, which is compiled apart.
    shown = ast.fix_missing_locations(ast.Expression(value))
    return ScriptCode(tree, body, compile(shown, filename, "eval", flags=futures, dont_inherit=True))


def _is_docstring(last: ast.Expr, tree: ast.Module) -> bool:
    return len(tree.body) == 1 and isinstance(last.value, ast.Constant) and isinstance(last.value.value, str)


def _is_silenced(last: ast.Expr, source: str) -> bool:
    """Whether a semicolon follows, which shows in marimo and elsewhere that the value is of no interest."""
    assert last.end_lineno is not None
    line = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")[last.end_lineno - 1]
    return line.encode()[last.end_col_offset :].lstrip().startswith(b";")


def names_in(source: str) -> tuple[set[str], set[str]]:
    """What a script defines at its top level, and what it takes from elsewhere, Python's own names among it."""
    top = symtable.symtable(source, "<script>", "exec")
    defined = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    used: set[str] = set()
    tables = [top]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        used |= {each.get_name() for each in table.get_symbols() if each.is_global() and each.is_referenced()}
    return defined, used - defined


def run_in_one_step(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that awaits nothing, without an event loop: the script must be free to start its own."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("marimo waited for something in the middle of a script")

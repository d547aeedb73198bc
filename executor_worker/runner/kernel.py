"""marimo's own kernel, driven inside this process: the cells, the graph, and what each cell gave.

marimo's private names live HERE ONLY. They carry no promise, so marimo is pinned to one version and
contract.py tries them all before the first student's program does.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from json import loads
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Any

from marimo._ast.app_config import _AppConfig
from marimo._ast.cell import CellConfig, CellImpl, SourcePosition
from marimo._ast.cell_id import CellIdGenerator
from marimo._ast.compiler import compile_cell
from marimo._ast.errors import ImportStarError
from marimo._ast.names import DEFAULT_CELL_NAME, SETUP_CELL_NAME
from marimo._ast.parse import MarimoFileError, parse_notebook
from marimo._ast.variables import BUILTINS, demangle_locals_in_text
from marimo._config.config import DEFAULT_CONFIG
from marimo._convert.converters import MarimoConvert
from marimo._entrypoints import registry
from marimo._messaging import tracebacks
from marimo._messaging.errors import CycleError, MarimoSyntaxError, MultipleDefinitionError, SetupRootError
from marimo._messaging.types import KernelStreams, Stream
from marimo._output import formatting
from marimo._output.formatters.formatters import register_formatters
from marimo._runtime.commands import AppMetadata, ExecuteCellCommand
from marimo._runtime.context.types import teardown_context
from marimo._runtime.control_flow import MarimoInterrupt, MarimoStopError
from marimo._runtime.exceptions import MarimoRuntimeException
from marimo._runtime.executor import _EXECUTOR_REGISTRY, DefaultExecutor
from marimo._runtime.kernel_lifecycle import KernelArgs, create_kernel
from marimo._runtime.runner.hooks import NotebookCellHooks, Priority
from marimo._runtime.runner.hooks_on_finish import _flush_cache_manifests
from marimo._runtime.runner.hooks_post_execution import (
    FINALIZATION_HOOKS,
    POST_EXECUTION_HOOKS,
    _broadcast_data_source_connection,
    _broadcast_datasets,
    _broadcast_duckdb_datasource,
    _broadcast_outputs,
    _broadcast_variables,
)
from marimo._runtime.runner.hooks_pre_execution import PRE_EXECUTION_HOOKS
from marimo._runtime.runner.hooks_preparation import PREPARATION_HOOKS
from marimo._runtime.state import State
from marimo._save import stores
from marimo._schemas.serialization import NotebookSerialization, SetupCell, UnparsableCell
from marimo._session.model import SessionMode

from executor_worker.runner.cells import Cell, Ending, Listener, Problem, Program
from executor_worker.runner.errors import shorten
from executor_worker.runner.fresh_python import allow_recursion
from executor_worker.runner.script import ScriptCode, names_in, run_in_one_step

SETUP = SETUP_CELL_NAME
NAMELESS = DEFAULT_CELL_NAME

# Of what marimo does after each cell, we want all but what its editor's side panels show. Those hooks
# print every variable of the student behind the student's back, and measure every table.
_AFTER_A_CELL = [
    hook
    for hook in POST_EXECUTION_HOOKS
    if hook
    not in (
        _broadcast_variables,
        _broadcast_datasets,
        _broadcast_data_source_connection,
        _broadcast_duckdb_datasource,
        _broadcast_outputs,
    )
]


# Reading a file ---------------------------------------------------------------------------------------


class Foreign(Exception):
    """The file is no marimo notebook."""


class Unreadable(Exception):
    """It is one, but marimo cannot make sense of it. The text is marimo's."""


def read_python_notebook(source: str) -> tuple[list[Cell], dict[str, Any]]:
    """The cells of a notebook in a .py file, without running any of it, and the options of its app.

    As in marimo, code outside the cells is no part of the notebook. A cell's line is only about right yet.
    Raises Foreign and Unreadable.
    """
    try:
        notebook = parse_notebook(source)
    except MarimoFileError:  # It imports marimo, but makes no App.
        raise Foreign from None
    except Exception as error:
        raise Unreadable(str(error)) from error
    return _cells_of(notebook)


def read_markdown_notebook(source: str) -> tuple[list[Cell], dict[str, Any]]:
    """The same of a notebook in a .md file."""
    try:
        notebook = MarimoConvert.from_md(source).ir
    except Exception as error:
        raise Unreadable(str(error)) from error
    cells, options = _cells_of(notebook)
    return cells, _AppConfig.sanitize(options)


def _cells_of(notebook: NotebookSerialization | None) -> tuple[list[Cell], dict[str, Any]]:
    if notebook is None or not notebook.valid:
        raise Foreign
    ids = fresh_ids()
    cells: list[Cell] = []
    for found in notebook.cells:
        # An unparsable cell's name is an argument among its options; the others' is the function's.
        name = found.options.get("name") if isinstance(found, UnparsableCell) else found.name
        is_setup = isinstance(found, SetupCell) or (not cells and name == SETUP)
        cells.append(
            Cell(
                id=SETUP if is_setup else next(ids),
                name=str(name or NAMELESS),
                code=found.code,
                line=found.lineno,
                options=found.options,
                unparsable=isinstance(found, UnparsableCell),
            )
        )
    return cells, dict(notebook.app.options)


def fresh_ids() -> Iterator[str]:
    """Cell ids, the same ones in the same order that marimo gives."""
    generator = CellIdGenerator(seed=42)
    return iter(generator.create_cell_id, None)


# One run ----------------------------------------------------------------------------------------------


class Session:
    """One program in one marimo kernel: made, looked at (`problems`, `graph`), run, and put away."""

    def __init__(
        self,
        program: Program,
        path: str,
        streams: tuple[Any, Any, Any],
        listener: Listener,
        at_exit: Callable[[], None] = lambda: None,
    ) -> None:
        """`streams` are what the cells see as sys.stdout, sys.stderr and sys.stdin; `at_exit` ends a script."""
        self._program = program
        self._cells = {cell.id: cell for cell in program.cells}
        self._listener = listener
        self._refused: dict[str, BaseException] = {}
        self._unsettled: set[str] = set()
        self._ended: set[str] = set()  # Told to the listener, or left out because of one that was.
        self._commands: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._executor = _Executor(at_exit if program.kind == "script" else None)
        _EXECUTOR_REGISTRY.register("labs", lambda: self._executor)
        stdout, stderr, stdin = streams
        self._kernel, _ = create_kernel(
            KernelArgs(
                streams=KernelStreams(stream=_Wire(listener), stdout=stdout, stderr=stderr, stdin=stdin),
                debugger=None,
                configs={cell.id: _config_of(cell) for cell in program.cells},
                # EDIT, because RUN hides errors behind an id. Nobody edits here.
                mode=SessionMode.EDIT,
                user_config=_CONFIG,
                virtual_file_storage=None,  # Pictures and tables travel inside the result, as data URIs.
                app_metadata=AppMetadata(
                    query_params={},
                    cli_args={},
                    argv=[],
                    app_config=_AppConfig.from_untrusted_dict(program.app_options, silent=True),
                    filename=path,
                ),
                control_queue=self._commands,
                set_ui_element_queue=queue.SimpleQueue(),
            )
        )
        self._kernel._try_compiling_cell = self._compile
        self._kernel._hooks = self._hooks()
        self._kernel.packages_callbacks.missing_packages_hook = lambda _: None  # It would look for a package manager.
        # sys.stdin answers input() itself (console.py); marimo's global of that name would defeat a student's mock.
        self._kernel.globals.pop("input", None)
        self._to_run: set[Any] = self._kernel.mutate_graph(
            [ExecuteCellCommand(cell_id=cell.id, code=cell.code) for cell in program.cells], deletion_requests=[]
        )

    # Before it runs.

    @functools.cached_property
    def problems(self) -> list[Problem]:
        """What keeps cells from taking part, in the order of the file."""
        return [
            self._problem(cell_id, error) for cell_id in self._cells for error in self._kernel.errors.get(cell_id, ())
        ]

    def _problem(self, cell_id: str, error: Any) -> Problem:
        if cell_id in self._refused:
            refusal = self._refused[cell_id]
            if isinstance(refusal, ImportStarError):
                return Problem("import-star", cell_id, error=refusal)
            return Problem("unparsable" if self._cells[cell_id].unparsable else "syntax", cell_id, error=refusal)
        if isinstance(error, MultipleDefinitionError):
            return Problem("multiple-definitions", cell_id, name=error.name, others=tuple(error.cells))
        if isinstance(error, CycleError):
            return Problem("cycle", cell_id, links=tuple(error.edges_with_vars))
        if isinstance(error, SetupRootError):
            return Problem("setup-refs", cell_id, links=tuple(error.edges_with_vars))
        return Problem("other", cell_id, name=error.describe())

    def graph(self) -> dict[str, Any]:
        """Who feeds whom, what each cell defines, and what it takes that is not Python's own."""
        graph = self._kernel.graph
        if self._program.kind == "script":
            (cell,) = self._program.cells
            defs, refs = names_in(cell.code)
            return {
                "edges": [],
                "defs": {cell.id: sorted(defs)},
                "refs": {cell.id: sorted(refs - BUILTINS - {"__name__"})},
            }
        order = {cell_id: place for place, cell_id in enumerate(self._cells)}
        edges = [[parent, child] for parent in graph.cells for child in graph.children[parent]]
        defined = set(graph.definitions)
        return {
            "edges": sorted(edges, key=lambda edge: (order[edge[0]], order[edge[1]])),
            "defs": {cell_id: sorted(cell.defs) for cell_id, cell in graph.cells.items()},
            "refs": {
                cell_id: sorted(name for name in cell.refs if name in defined or name not in BUILTINS)
                for cell_id, cell in graph.cells.items()
            },
        }

    # The run.

    def run(self) -> None:
        """Run every cell that can run. The listener hears of each as it ends."""
        if self._program.kind == "script":
            run_in_one_step(self._run_cells())  # Nothing in a script can await: it brings its own event loop.
        else:
            asyncio.run(self._run_cells())

    async def _run_cells(self) -> None:
        waiting = self._to_run
        while waiting:
            try:
                await self._kernel._run_cells(waiting)
                break
            except BaseException:  # An exception that raises when it is looked at makes marimo stumble.
                if not self._ended & waiting:
                    raise
                waiting = waiting - self._ended
        while not self._commands.empty():  # What threads of the cells asked for meanwhile.
            await self._kernel.handle_message(self._commands.get_nowait())

    def is_disabled(self, cell_id: str) -> bool:
        """Whether the cell, or one it hangs on, is switched off."""
        return cell_id in self._kernel.graph.cells and self._kernel.graph.is_disabled(cell_id)

    def close(self) -> None:
        """Let go of marimo's context, so that another session can begin in this process."""
        self._kernel.teardown_callbacks()
        teardown_context()

    # What the kernel asks of us.

    def _compile(self, cell_id: str, code: str, carried_imports: list[Any]) -> tuple[CellImpl | None, Any]:
        """Compile a cell under the student's own file name and line numbers."""
        cell = self._cells[cell_id]
        try:
            if self._program.script is not None:
                return _script_cell(cell, self._program.script), None
            place = SourcePosition(filename=self._program.filename, lineno=cell.line - 1, col_offset=cell.indent)
            return compile_cell(
                code,
                cell_id=cell_id,
                source_position=place,
                filename=self._program.filename,
                carried_imports=carried_imports,
            ), None
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as refusal:
            self._refused[cell_id] = refusal
            return None, MarimoSyntaxError(msg=str(refusal))

    def _hooks(self) -> NotebookCellHooks:
        hooks = NotebookCellHooks()
        for prepare in PREPARATION_HOOKS:
            hooks.add_preparation(prepare)
        for before in PRE_EXECUTION_HOOKS:
            hooks.add_pre_execution(before)
        hooks.add_pre_execution(self._cell_starts, Priority.LATE)
        hooks.add_post_execution(self._cell_ran, Priority.EARLY)
        for after in _AFTER_A_CELL:
            hooks.add_post_execution(after)
        hooks.add_post_execution(self._show_value, Priority.EARLY)  # Before the figures are closed.
        for last in FINALIZATION_HOOKS:
            hooks.add_finalization(last)
        hooks.add_finalization(self._cell_ends)
        hooks.add_on_finish(_flush_cache_manifests)
        return hooks

    def _threads(self) -> set[threading.Thread]:
        return set(threading.enumerate())

    def _cell_starts(self, cell: Any, _: Any) -> None:
        self._threads_before = self._threads()
        self._listener.cell_starts(cell.cell_id)

    def _cell_ran(self, cell: Any, _context: Any, _result: Any) -> None:
        self._listener.cell_ran(cell.cell_id)

    def _show_value(self, cell: Any, _: Any, result: Any) -> None:
        """What marimo's own _broadcast_outputs does, straight to the listener and for plain eyes."""
        if not (result.success() or isinstance(result.exception, MarimoStopError)):
            return
        if result.output is None:  # What mo.output put there, if anything, has come over the wire.
            return
        try:
            shown = formatting.try_format(result.output)
            if shown.exception is not None:
                shown = formatting.try_format(result.output, include_opinionated=False)
        except BaseException as error:  # noqa: BLE001 - A __repr__ may raise anything at all, SystemExit too.
            self._listener.cell_cannot_show(cell.cell_id, error, "")
            return
        if shown.traceback is not None:
            self._listener.cell_cannot_show(cell.cell_id, shown.exception, shown.traceback)
        if shown.data:
            self._listener.cell_shows(cell.cell_id, shown.mimetype, shown.data)

    def _cell_ends(self, cell: Any, context: Any, result: Any) -> None:
        self._ended.add(cell.cell_id)
        self._listener.cell_ends(cell.cell_id, self._ending(cell, context, result))
        if cell.cell_id in set(context.cancelled_cells):  # Iterating gives those at fault; `in` asks for the cancelled.
            left_out = set(context.cancelled_cells[cell.cell_id])
            self._ended |= left_out
            self._listener.cells_left_out(left_out, because_of=cell.cell_id)

    def _ending(self, cell: Any, context: Any, result: Any) -> Ending:
        raised = self._executor.raised.pop(cell.cell_id, None)
        may_change = self._may_run_again(cell, context.glbls) or bool(self._threads() - self._threads_before)
        if result.success() and raised is not None:  # It made marimo stumble, but it did not escape the executor.
            return Ending("error", error=raised, may_change=may_change)
        if result.success():
            return Ending("ok", may_change=may_change)
        if isinstance(result.exception, MarimoStopError):
            return Ending("stopped", may_change=may_change)
        if isinstance(result.exception, MarimoInterrupt):
            return Ending("interrupted", error=raised, may_change=may_change)
        if isinstance(result.exception, BaseException):
            return Ending("error", error=result.exception, may_change=may_change)
        # marimo has put an explanation of its own in the exception's place.
        return Ending(
            "error",
            error=raised,
            words=as_written(str(result.exception.describe())),
            blamed=getattr(result.exception, "raising_cell", None),
            may_change=may_change,
        )

    def _may_run_again(self, cell: Any, names: dict[str, Any]) -> bool:
        """Whether it hangs, itself or through others, on a mo.state somebody may still set."""
        parents = self._kernel.graph.parents[cell.cell_id]
        if not self._unsettled.isdisjoint(parents) or any(type(names.get(ref)) is State for ref in cell.refs):
            self._unsettled.add(cell.cell_id)
        return cell.cell_id in self._unsettled


# Of address space, held while a cell runs and let go when it ends, so that there is room to tell its MemoryError in.
RESERVE_BYTES = 4 << 20


class _Executor(DefaultExecutor):
    """Runs one cell as marimo does, and remembers what it raised."""

    name = "labs"

    def __init__(self, at_exit: Callable[[], None] | None) -> None:
        self.raised: dict[str, BaseException] = {}
        self._at_exit = at_exit

    async def execute_cell_async(self, cell: Any, glbls: Any) -> Any:
        allow_recursion()
        reserve = mmap(-1, RESERVE_BYTES, flags=MAP_PRIVATE | MAP_ANONYMOUS)
        try:
            return await super().execute_cell_async(cell, glbls)
        except MarimoRuntimeException as wrapped:
            reserve.close()
            self.raised[cell.cell_id] = wrapped.__cause__ or wrapped
            shorten(wrapped.__cause__)
            raise
        except asyncio.CancelledError:
            raise
        except BaseException as odd:
            self.raised[cell.cell_id] = odd
            raise
        finally:
            reserve.close()
            allow_recursion()  # What follows needs some, however little the program has left itself.
            if self._at_exit is not None:
                self._at_exit()
            for stream in (sys.stdout, sys.stderr):  # The program may have put buffers of its own before ours.
                with suppress(Exception):
                    stream.flush()


class _Wire(Stream):
    """Where marimo writes what it wants its editor to know. We pick out what a cell showed."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def write(self, data: Any) -> None:
        if not data.startswith(b'{"op":"cell-op"'):
            return
        news = loads(data)
        output, console = news.get("output"), news.get("console")
        if output and output["channel"] == "output":
            self._listener.cell_shows(news["cell_id"], output["mimetype"], output["data"])
        for piece in console if isinstance(console, list) else [console] if console else []:
            if piece["channel"] == "media":
                self._listener.cell_draws(news["cell_id"], piece["mimetype"], piece["data"])
            elif piece["mimetype"] == "text/plain" and piece["channel"] in ("stdout", "stderr"):  # A mo.Thread's print.
                self._listener.cell_prints(news["cell_id"], piece["channel"], piece["data"])

    def copy_for_thread(self) -> Stream:
        return self


# Cells ------------------------------------------------------------------------------------------------


def _config_of(cell: Cell) -> CellConfig:
    return CellConfig.from_dict(cell.options, warn=False)


def _script_cell(cell: Cell, code: ScriptCode) -> CellImpl:
    return CellImpl(
        key=hash(cell.code),
        code=cell.code,
        mod=code.tree,
        defs=set(),
        refs=set(),
        sql_refs={},
        temporaries=set(),
        variable_data={},
        deleted_refs=set(),
        language="python",
        body=code.body,
        last_expr=code.value,
        cell_id=cell.id,
    )


# The process that runs it ----------------------------------------------------------------------------


def _configuration() -> Any:
    config = deepcopy(DEFAULT_CONFIG)
    config["runtime"].update(
        {
            "auto_instantiate": True,
            "auto_reload": "off",
            "on_cell_change": "autorun",
            "reactive_tests": False,  # They crash the run: marimo.md, section 1.
            "dotenv": [],
            "output_max_bytes": 64 << 20,  # outputs.py has its own limit, and words that fit here.
            "std_stream_max_bytes": 64 << 20,
        }
    )
    config["display"]["dataframes"] = "plain"  # Ordinary HTML tables: <marimo-table> needs marimo's own page.
    return config


_CONFIG = _configuration()


def prepare_process() -> None:
    """Once per process, before its first session: what every later session would pay for again."""
    registry.get_entry_points = functools.lru_cache(registry.get_entry_points)  # It scans every installed package.
    # Nothing is configured by files here, so none are looked for: not in the box, nor in what lies above it.
    stores.get_store = lambda *_: stores.DEFAULT_STORE()
    stores.cache_store_is_untrusted = lambda *_: False
    tracebacks._highlight_traceback = str  # HTML for an editor, at 20 ms each; errors.py tells them in plain text.
    register_formatters()
    quieten(logging.getLogger("marimo"))


def as_written(text: str) -> str:
    """Undo in a text what marimo's compiler does to _private names."""
    return str(demangle_locals_in_text(text))


def quieten(logger: logging.Logger) -> None:
    """marimo's log is for marimo's developers; here it would end up in a student's output."""
    logger.handlers.clear()
    logger.addHandler(logging.NullHandler())
    logger.propagate = False

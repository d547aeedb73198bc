"""What a run tells: facts by the supervisor, claims by the program."""

import signal

import pytest

from tests.executor_worker.runner.conftest import Way
from tests.executor_worker.runner.running import Runner, framed

NOTEBOOK = """
import marimo

app = marimo.App()

@app.cell
def _():
    import pandas as pd
    frame = pd.DataFrame({"a": [1, 2, 3]})
    frame
    return (frame,)

@app.cell
def _(frame):
    import matplotlib.pyplot as plt
    plt.plot(frame.a)
    plt.gca()
    return
"""


def test_the_runner_says_who_it_is(runner: Runner, way: Way) -> None:
    hello = runner.hello()

    assert hello["event"] == "hello"
    assert hello["isolation"] == way.isolation
    assert hello["memory_source"] == ("cgroup" if hello["cgroup"] != "none" else "rusage")
    assert hello["slots"] == 2
    assert hello["marimo"]
    assert {"name", "version"} == set(hello["packages"][0])


def test_a_program_runs_and_its_end_is_told(runner: Runner, way: Way) -> None:
    told = runner.run("print('hello')")

    assert [fact["event"] for fact in told.facts] == ["started", "ended"]
    assert told.is_done
    assert told.printed == "hello\n"
    assert (told.end["exit_code"], told.end["signal"], told.end["killed"]) == (0, None, None)
    assert told.end["isolation"] == way.isolation
    assert 0 <= told.end["cpu_ms"] <= told.end["wall_ms"] + 1
    assert told.end["memory_kib"] < 20_000  # Not the warm process's own.


def test_a_notebook_with_a_table_and_a_plot_runs(runner: Runner) -> None:
    told = runner.run(NOTEBOOK, filename="notebook.py")

    cells = [claim for claim in told.claims if claim["type"] == "cell"]
    assert [cell["status"] for cell in cells] == ["ok", "ok"]
    assert any(output["mimetype"].startswith("image/") for output in cells[1]["outputs"])


def test_input_reaches_the_program(runner: Runner) -> None:
    assert runner.run("print(int(input()) + int(input()))", stdin="20\n22\n").printed == "42\n"


def test_each_run_begins_with_an_empty_box(runner: Runner) -> None:
    look = "import os; print(sorted(n for n in os.listdir() if n != 'main.py'))"

    first = runner.run("open('left', 'w').write('x')\n" + look)
    others = [runner.run(look) for _ in range(8)]  # More than there are seats.

    assert first.printed == "['left']\n"
    assert {told.printed for told in others} == {"[]\n"}


def test_what_libraries_usually_do_works(runner: Runner) -> None:
    told = runner.run(
        """
import asyncio, concurrent.futures, sqlite3, tempfile, threading, time, shutil, zoneinfo, datetime, decimal, os
async def one(): await asyncio.sleep(0.01); return 1
print(asyncio.run(one()))
with concurrent.futures.ThreadPoolExecutor(8) as pool: print(sum(pool.map(lambda x: x * x, range(100))))
with sqlite3.connect('my.db') as db: print(db.execute('create table t(x)').execute('select 1').fetchone())
with tempfile.NamedTemporaryFile('w') as file: file.write('x'); file.flush(); shutil.copy2(file.name, 'copy')
print(open('copy').read(), datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Moscow')).utcoffset())
import numpy as np; print(np.linalg.solve(np.eye(200), np.ones(200)).sum())
print(os.path.expanduser('~') == os.getcwd())
"""
    )

    assert told.errors == []
    assert told.printed == "1\n328350\n(1,)\nx 3:00:00\n200.0\nTrue\n"


def test_sets_come_in_the_same_order_in_each_run(runner: Runner) -> None:
    printed = {runner.run("print({'a', 'b', 'c', 'd', 'e'})").printed for _ in range(3)}

    assert len(printed) == 1


def test_random_numbers_differ_from_run_to_run(runner: Runner) -> None:
    source = "import random, numpy, os; print(random.random(), numpy.random.rand(), os.urandom(4))"

    assert len({runner.run(source).printed for _ in range(5)}) == 5


ENDS = [
    ("import os; os._exit(3)", 3, None),
    ("import os; os._exit(0)", 0, None),
    ("import ctypes; ctypes.string_at(0)", None, signal.SIGSEGV),
]


@pytest.mark.parametrize(("source", "exit_code", "by_signal"), ENDS)
def test_how_a_process_ended_is_told_as_the_kernel_saw_it(
    runner: Runner, source: str, exit_code: int | None, by_signal: int | None
) -> None:
    told = runner.run(source)

    assert (told.end["exit_code"], told.end["signal"], told.end["killed"]) == (exit_code, by_signal, None)
    assert not told.is_done


def test_processor_time_and_memory_are_those_of_the_run(runner: Runner) -> None:
    told = runner.run("import time\nheld = bytearray(60 << 20)\nwhile time.process_time() < 0.3: pass")

    assert 100 <= told.end["cpu_ms"] <= 800
    assert 60 * 1024 <= told.end["memory_kib"] < 80 * 1024


def test_waiting_takes_no_processor_time(runner: Runner) -> None:
    told = runner.run("import time; time.sleep(0.4)")

    assert told.end["wall_ms"] >= 400
    assert told.end["cpu_ms"] < 200


def test_what_ran_before_the_end_is_not_lost(runner: Runner) -> None:
    told = runner.run(
        "import marimo\napp = marimo.App()\n"
        "@app.cell\ndef _():\n    first = 1\n    print('first')\n    return (first,)\n"
        "@app.cell\ndef _(first):\n    while True: pass\n",
        filename="notebook.py",
        cpu_ms=300,
    )

    cells = [claim for claim in told.claims if claim["type"] == "cell"]
    assert told.end["killed"] == "cpu"
    assert [cell["status"] for cell in cells] == ["ok"]
    assert told.printed == "first\n"


# The protocol ------------------------------------------------------------------------------------------


GOOD_JOB = '{"source":"","filename":"main.py","stdin":""}'
GOOD_LIMITS = '{"cpu_ms":1,"wall_ms":1,"memory_kib":1,"output_bytes":1,"claims_bytes":1}'
BAD_REQUESTS = [
    (b"", "not JSON"),
    (b"{", "not JSON"),
    (b"\xff\xfe", "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b"[]", "neither hello nor run"),
    (b'{"op":"stop"}', "neither hello nor run"),
    (b'{"op":"run"}', "neither hello nor run"),
    (f'{{"op":"run","job":{GOOD_JOB},"limits":[]}}'.encode(), "neither hello nor run"),
    (f'{{"op":"run","job":{GOOD_JOB},"limits":{{}}}}'.encode(), "limits.cpu_ms"),
    (f'{{"op":"run","job":{GOOD_JOB},"limits":{GOOD_LIMITS.replace(":1", ":true")}}}'.encode(), "limits.cpu_ms"),
    (f'{{"op":"run","job":{GOOD_JOB},"limits":{GOOD_LIMITS.replace(":1", ":0")}}}'.encode(), "limits.cpu_ms"),
    (f'{{"op":"run","job":{GOOD_JOB},"limits":{GOOD_LIMITS.replace(":1", ":1e99")}}}'.encode(), "limits.cpu_ms"),
    (f'{{"op":"run","job":{{"filename":"main.py"}},"limits":{GOOD_LIMITS}}}'.encode(), "source"),
    (
        f'{{"op":"run","job":{GOOD_JOB.replace("main.py", "../main.py")},"limits":{GOOD_LIMITS}}}'.encode(),
        "filename",
    ),
    (f'{{"op":"run","job":{GOOD_JOB},"limits":{GOOD_LIMITS}}}'.encode(), "no descriptor"),
]


@pytest.mark.parametrize(("request_", "reason"), BAD_REQUESTS, ids=[reason for _, reason in BAD_REQUESTS])
def test_a_bad_request_is_told_what_is_wrong_with_it(best_runner: Runner, request_: bytes, reason: str) -> None:
    answer = best_runner.ask(framed(request_))

    assert answer is not None
    assert answer["event"] == "failed"
    assert reason in answer["reason"]


def test_a_request_longer_than_agreed_is_refused_unread(best_runner: Runner) -> None:
    answer = best_runner.ask(b"\x7f\xff\xff\xff")

    assert answer == {"event": "failed", "reason": "the request is longer than agreed"}


def test_a_request_may_come_in_pieces(best_runner: Runner) -> None:
    with best_runner.connect() as control:
        for byte in framed(b'{"op":"hello"}'):
            control.send(bytes([byte]))

        assert control.recv(1 << 20)


def test_a_large_program_is_taken(best_runner: Runner) -> None:
    told = best_runner.run("#" * 200_000 + "\nprint('read')", stdin="x" * 60_000)

    assert told.printed == "read\n"


def test_who_hangs_up_ends_the_run_and_half_is_enough(runner: Runner) -> None:
    conversation = runner.begin("while True: pass", cpu_ms=20_000, wall_ms=20_000)
    assert conversation.fact() is not None

    conversation.control.shutdown(1)

    end = conversation.fact()
    conversation.close()
    assert end is not None
    assert end["killed"] == "cancelled"
    assert end["wall_ms"] < 5_000


def test_more_programs_than_slots_wait_for_their_turn(runner: Runner) -> None:
    conversations = [runner.begin(f"import time; time.sleep(0.2); print({number})") for number in range(7)]

    ends = [conversation.all() for conversation in conversations]

    assert [told.printed for told in ends] == [f"{number}\n" for number in range(7)]
    assert all(told.is_done for told in ends)


def test_who_leaves_the_queue_does_not_hold_it_up(runner: Runner) -> None:
    running = [runner.begin("import time; time.sleep(0.5)") for _ in range(2)]
    leaving = runner.begin("print('never')")
    patient = runner.begin("print('at last')")

    leaving.close()

    assert patient.all().printed == "at last\n"
    for conversation in running:
        assert conversation.all().is_done

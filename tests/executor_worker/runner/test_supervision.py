"""The runner over time: replaced parts, dead parts, its own end, and what is left of it."""

import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor_worker.sandbox import cgroup
from tests.executor_worker.runner.conftest import IS_ROOT, WAYS, Way, make_runner
from tests.executor_worker.runner.running import PYTHON, ROOT, Runner
from tests.executor_worker.waiting import eventually

MINUTE_MS = 60_000

pytestmark = pytest.mark.slow


@pytest.fixture(params=[WAYS[0], WAYS[-1]], ids=lambda way: way.name)
def fresh(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """A runner to mistreat, in the two ways that differ most."""
    with make_runner(request.param) as runner:
        yield runner


def children(runner: Runner) -> list[int]:
    """Those who wait or run: the family without the supervisor and its warm process."""
    return [pid for pid in runner.processes() if pid not in (runner.process.pid, warm_process(runner))]


def warm_process(runner: Runner) -> int:
    """The one the supervisor is parent of."""
    listed = Path(f"/proc/{runner.process.pid}/task/{runner.process.pid}/children").read_text().split()
    assert len(listed) == 1, listed
    return int(listed[0])


def nothing_runs(family: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in family)


def groups_of(runner: Runner) -> list[Path]:
    """Where the system lets the runner make any."""
    own = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    memory = [path for _, controllers, path in own if controllers in ("memory", "")]
    folders = [cgroup.MOUNTS / place / path.lstrip("/") for path in memory for place in ("memory", "")]
    return [group for folder in folders for group in folder.glob(f"{cgroup.PREFIX}{runner.process.pid}")]


def test_a_dead_child_in_the_pool_is_replaced(fresh: Runner) -> None:
    eventually(lambda: len(children(fresh)) == 2, "two children wait")
    for pid in (killed := children(fresh)):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: nothing_runs(killed), "they are gone")

    assert fresh.run("print('served')").printed == "served\n"
    eventually(lambda: len(children(fresh)) == 2, "two children wait again")


def test_a_dead_warm_process_is_our_fault_and_is_replaced(fresh: Runner) -> None:
    conversation = fresh.begin("import time; time.sleep(30)", cpu_ms=MINUTE_MS, wall_ms=MINUTE_MS)
    assert conversation.fact() is not None
    family = children(fresh)

    os.kill(warm_process(fresh), signal.SIGKILL)

    end = conversation.fact()
    conversation.close()
    assert end == {"event": "failed", "reason": "the warm process died"}
    eventually(lambda: nothing_runs(family), "its children died with it")
    assert fresh.run("print('served')").printed == "served\n"


def test_a_new_warm_process_takes_over_without_a_pause(fresh: Runner) -> None:
    before = warm_process(fresh)
    running = fresh.begin("import time; time.sleep(3); print('undisturbed')")
    assert running.fact() is not None

    fresh.process.send_signal(signal.SIGHUP)
    served = 0
    while len(fresh.events("runner_warm")) < 2:
        assert fresh.run("print(1)").is_done
        served += 1

    assert served > 3
    assert running.all().printed == "undisturbed\n"
    eventually(lambda: not Path(f"/proc/{before}").exists(), "the one before is gone")
    assert fresh.run("print('new')").printed == "new\n"


def test_a_stop_ends_everything_and_leaves_nothing(fresh: Runner) -> None:
    conversation = fresh.begin("open('left', 'w').write('x')\nwhile True: pass", cpu_ms=MINUTE_MS, wall_ms=MINUTE_MS)
    assert conversation.fact() is not None
    family, groups = list(fresh.processes()), groups_of(fresh)

    code = fresh.stop()

    assert code == 0
    assert conversation.fact() == {"event": "failed", "reason": "the runner is stopping"}
    conversation.close()
    assert nothing_runs(family)
    assert not Path(fresh.path).exists()
    eventually(lambda: not any(group.exists() for group in groups), "its memory groups are gone")
    assert not fresh.boxes.exists()


def test_programs_do_not_outlive_a_killed_supervisor(fresh: Runner) -> None:
    conversation = fresh.begin("while True: pass", cpu_ms=MINUTE_MS, wall_ms=MINUTE_MS)
    assert conversation.fact() is not None
    family = list(fresh.processes())

    fresh.stop(signal.SIGKILL)
    conversation.close()

    eventually(lambda: nothing_runs(family), "nobody is left")


def test_the_start_after_a_kill_is_like_any_other(fresh: Runner) -> None:
    conversation = fresh.begin("open('left', 'w').write('x')\nwhile True: pass", cpu_ms=MINUTE_MS, wall_ms=MINUTE_MS)
    assert conversation.fact() is not None
    groups = groups_of(fresh)
    fresh.stop(signal.SIGKILL)
    conversation.close()
    assert Path(fresh.path).exists()

    fresh.start()
    eventually(lambda: fresh.events("runner_listening")[1:], "it listens again", seconds=60)

    printed = {fresh.run("import os; print(os.listdir())").printed for _ in range(8)}
    assert printed == {"['main.py']\n"}
    assert not any(group.exists() for group in groups)


def test_a_second_runner_leaves_the_first_alone(fresh: Runner) -> None:
    second = subprocess.run(
        fresh.command, capture_output=True, text=True, user=fresh.user, group=fresh.user, timeout=30, check=False
    )

    assert second.returncode == 69
    assert "another runner serves" in second.stderr
    assert fresh.run("print('served')").printed == "served\n"


def test_the_socket_is_for_the_owner_and_the_group(fresh: Runner) -> None:
    assert stat.S_IMODE(Path(fresh.path).stat().st_mode) == 0o660


def test_a_runner_forgets_the_environment_it_was_started_in(way: Way) -> None:
    runner = make_runner(way)
    runner.start(AMQP_URL="amqp://labs:secret-in-the-environment@broker", PYTHONPATH="/nowhere")
    runner.wait_until_listening()
    try:
        for pid in runner.processes():
            try:
                assert b"secret-in-the-environment" not in Path(f"/proc/{pid}/environ").read_bytes()
            except PermissionError:
                assert not IS_ROOT  # Hidden even from its own user.
        assert "secret" not in runner.run("import os; print(dict(os.environ))").printed
    finally:
        runner.stop()


def test_nothing_grows_from_run_to_run(fresh: Runner) -> None:
    def measure() -> dict[str, int]:
        eventually(lambda: len(fresh.processes()) == 4 and fresh.hello()["pool"] == 2, "it is at rest")
        supervisor = fresh.process.pid
        return {
            "descriptors": len(list(Path(f"/proc/{supervisor}/fd").iterdir())) if IS_ROOT else 0,
            "warm descriptors": len(list(Path(f"/proc/{warm_process(fresh)}/fd").iterdir())) if IS_ROOT else 0,
            "mounts": len(Path("/proc/mounts").read_text().splitlines()),
            "groups": sum(len(list(group.iterdir())) for group in groups_of(fresh)),
        }

    for _ in range(20):
        fresh.run("print(1)")
    before = measure()
    for number in range(60):
        fresh.run("print(1)" if number % 3 else "import os; os._exit(1)")

    eventually(lambda: measure() == before, "all is as before", log=lambda: f"{before} {measure()}")


# How it may not be started ------------------------------------------------------------------------------


def refusal(*arguments: str, user: int | None = None, root: Path = ROOT) -> tuple[int, str]:
    runner = Runner(*arguments, root=root, user=user)
    try:
        runner.start()
        code = runner.process.wait(60)
        assert not Path(runner.path).exists()
        return code, runner.text()
    finally:
        runner.stop()


def test_no_isolation_needs_two_words() -> None:
    code, words = refusal("--isolation", "none")

    assert code == 2
    assert "--i-accept-unsafe-development" in words


def test_no_isolation_runs_programs_and_says_so(best_way: Way) -> None:
    with Runner("--isolation", "none", "--i-accept-unsafe-development", user=best_way.user) as runner:
        told = runner.run("print('hello')")

        assert told.printed == "hello\n"
        assert told.end["isolation"] == "none"
        assert runner.run("while True: pass", cpu_ms=300).end["killed"] == "cpu"
        assert runner.events("runner_listening")[0]["level"] == "WARNING"


@pytest.mark.skipif(not IS_ROOT, reason="only root gives programs users of their own")
def test_a_library_the_programs_cannot_reach_is_named(copy_of_the_project: Path) -> None:
    copy_of_the_project.chmod(0o700)

    code, words = refusal("--isolation", "processes", root=copy_of_the_project)

    assert code == 78
    assert f"{copy_of_the_project} is closed to others" in words


@pytest.mark.skipif(not IS_ROOT, reason="only root can close a folder to itself as another")
def test_namespaces_do_not_mind_a_closed_folder_on_the_way(copy_of_the_project: Path, best_way: Way) -> None:
    if best_way.isolation != "namespaces":
        pytest.skip("no namespaces here")
    copy_of_the_project.chmod(0o700)

    with Runner(root=copy_of_the_project) as runner:
        assert runner.run("import numpy; print('read')").printed == "read\n"


# The self-test: a sandbox with a hole is not served ---------------------------------------------------------


@pytest.fixture
def copy_of_the_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a runner needs of the project, to be spoilt."""
    copy = tmp_path_factory.mktemp("project")
    for folder in (copy, *copy.parents):
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o755)
    shutil.copytree(ROOT / "executor_worker", copy / "executor_worker", ignore=shutil.ignore_patterns("__pycache__"))
    environment = PYTHON.parents[1]
    (copy / environment.name).symlink_to(environment)
    return copy


HOLES = [
    ("policy.py", '*("socket", "connect",', '*("connect",', "make_a_socket"),
    ("policy.py", '*("fork", "vfork", "execve",', '*("vfork",', ""),
    ("landlock.py", 'linux.syscall("landlock_restrict_self", descriptor, 0)', "pass", "read_a_secret"),
    ("limits.py", "_limit(resource.RLIMIT_DATA, grant.data_bytes)", "pass", "take_too_much_memory"),
    ("limits.py", "_limit(resource.RLIMIT_NOFILE, OPEN_FILES)", "pass", "open_too_many_files"),
]


@pytest.mark.parametrize(("file", "text", "instead", "attack"), HOLES, ids=[hole[3] or "fork" for hole in HOLES])
def test_a_hole_in_the_sandbox_is_found_and_nobody_served(
    copy_of_the_project: Path, best_way: Way, file: str, text: str, instead: str, attack: str
) -> None:
    sandbox = copy_of_the_project / "executor_worker/sandbox"
    spoilt = (sandbox / file).read_text()
    assert text in spoilt
    (sandbox / file).write_text(spoilt.replace(text, instead))
    if "socket" in text:  # Not on the list of the refused any more, but on that of the allowed.
        allowed = (sandbox / file).read_text().replace('*("read", "write",', '*("socket", "read", "write",')
        (sandbox / file).write_text(allowed)
    if "fork" in text:
        allowed = (sandbox / file).read_text().replace('"clone": Examined(', '"_clone": Examined(')
        (sandbox / file).write_text(allowed.replace('*("read", "write",', '*("fork", "clone", "read", "write",'))

    code, words = refusal("--isolation", "processes", user=best_way.user, root=copy_of_the_project)

    assert code == 78
    assert "self_test_failed" in words
    assert attack or "fork" in words

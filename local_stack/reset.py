"""`./labs reset`: back to the first day. Deletes what this stack made, and nothing else."""

import shutil

from local_stack import environments, screen
from local_stack.errors import FAILED
from local_stack.layout import State
from local_stack.up import down


def reset(state: State, *, yes: bool, environments_too: bool) -> int:
    """Take the stack down and delete its data, secrets and logs, after asking."""
    ours = [path for path in state.made_by_us() if path.exists()]
    if environments_too:
        ours += [path for path in (environments.SERVICES, environments.notebook_environment()) if path.exists()]
    if not ours:
        screen.say(f"There is nothing to delete in {state.home}.")
        return 0
    screen.say("This ends the stack and deletes, with all users and submissions in it:")
    for path in ours:
        screen.say(f"  {path}")
    if not screen.confirm("Delete all this?", yes=yes):
        screen.say("Nothing was deleted. (--yes answers the question.)")
        return FAILED
    if state.run.exists():
        down(state)
    for path in ours:
        shutil.rmtree(path)
    if state.home.exists() and not any(state.home.iterdir()):
        state.home.rmdir()
    screen.say("Deleted. Databases named by DATABASE_URL_* and queues behind AMQP_URL are not ours and stay.")
    return 0

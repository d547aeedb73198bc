"""The whole platform, started once by the command that users type."""

import pytest

from tests.end_to_end.visitor import Visitor


@pytest.fixture(scope="session")
def visitor(stack):
    return Visitor(stack.url)


@pytest.fixture
def newcomer(stack):
    """A user nobody else uses."""
    return Visitor(stack.url)

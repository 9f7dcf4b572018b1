"""What all end-to-end tests share. The binary to test is named by the environment's LIFELINE."""

import faulthandler
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from serving import ENGINES, Server  # noqa: E402


def pytest_configure(config):
    path = os.environ.get("LIFELINE")
    if not path:
        raise pytest.UsageError("LIFELINE is not set: it must name the lifeline binary to test, "
                                "as in `LIFELINE=build/lifeline python3 -m pytest -n 4 tests/e2e`")
    if not os.access(path, os.X_OK):
        raise pytest.UsageError(f"LIFELINE={path}: there is no such program")
    os.environ["LIFELINE"] = os.path.abspath(path)
    # A test's own words must not change with the language of who runs it.
    os.environ["LC_ALL"] = "C.UTF-8"


@pytest.fixture(autouse=True)
def watchdog():
    """Every wait here has its bound; should one be missing, the stacks are shown rather than the whole run held up."""
    faulthandler.dump_traceback_later(300, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


@pytest.fixture
def serve(engine):
    """Starts a server with the engine of this run: `with serve("--workers", "2") as server`."""

    def start(*options, **settings):
        return Server(*options, engine=engine, **settings)

    return start

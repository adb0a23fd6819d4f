"""Running a command line, as the tests of the commands do."""

from tests.cli.conftest import run

__all__ = ["run"]

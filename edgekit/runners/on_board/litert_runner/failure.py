"""How a run ends when it cannot go on. Exit codes: 0 ok, 2 usage, 3 cannot load, 4 execution
failed, 5 input or output file."""

from __future__ import annotations

EXIT_USAGE, EXIT_LOAD, EXIT_EXECUTION, EXIT_IO = 2, 3, 4, 5


class Failure(Exception):
    """Ends the program with an exit code and a message for people."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

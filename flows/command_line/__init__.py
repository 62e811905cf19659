"""The command line: `cord COMMAND`. One file for each kind of command.

Exit codes: 0 done, 1 failed, 2 wrong usage or recipe, 3 the contract did not hold,
130 stopped by the user. What is imported here is light, so that Ctrl-C is answered from the start.
"""

from __future__ import annotations

import os
import sys

from cord.errors import CordError


def main() -> None:
    """Run the command line; every error that cord raises on purpose becomes one clear sentence."""
    try:
        code = _run()
        sys.stdout.flush()
    except CordError as error:
        code = _fail(str(error), error.exit_code, error.details)
    except KeyboardInterrupt:
        code = _fail("stopped", 130)
    except (BrokenPipeError, SystemExit) as end:  # Typer makes exit 1 of the first
        if not isinstance(end.__context__ or end, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # `cord query ... | head` has its lines
        code = 0
    except Exception as error:  # a mistake of ours; even so no bare traceback
        if os.environ.get("CORD_DEBUG"):
            raise
        code = _fail(
            f"unexpected {type(error).__name__}: {error}\n"
            "this is a fault in cord; CORD_DEBUG=1 shows where",
            1,
        )
    if "flows.prefect_server" in sys.modules:
        from flows.prefect_server import leave_if_gone

        leave_if_gone(code)
    sys.exit(code)


def _run() -> int:
    from typer.exceptions import TyperException

    from flows.command_line.commands import app

    for stream in (sys.stdout, sys.stderr):  # a file's name may be no Unicode, a terminal ASCII
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        # Typer answers Ctrl-C, --help and the like with a number, and all else with None.
        code = app(standalone_mode=False) or 0
        return _fail("stopped", code) if code == 130 else code
    except TyperException as error:
        return _fail_usage(error)


def _fail_usage(error: Exception) -> int:
    """Show it with the command's usage; it exits 2."""
    from flows.command_line.terminal import print_json

    code = int(getattr(error, "exit_code", 2))
    if "--json" in sys.argv:
        print_json({"error": getattr(error, "format_message", error.__str__)(), "exit_code": code})
    show = getattr(error, "show", None)
    if show is not None:
        show()
    return code


def _fail(sentence: str, code: int, details: dict[str, object] | None = None) -> int:
    """Say it, as one JSON document too where that is wanted; returns the exit code."""
    from flows.command_line.terminal import print_json, say

    if "--json" in sys.argv:
        print_json({**(details or {}), "error": sentence, "exit_code": code})
    say(f"cord: {sentence}", style="red")
    return code

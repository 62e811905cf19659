"""The command line: `cord COMMAND`. One file for each kind of command.

Exit codes: 0 done, 1 failed, 2 wrong usage or recipe, 3 the contract did not hold,
130 stopped by the user.
"""

from __future__ import annotations

import json
import os
import sys

import typer

from cord.errors import CordError
from flows.command_line import looking, making, running
from flows.command_line.terminal import err

app = typer.Typer(
    name="cord",
    help="A data factory for long chain-of-thought data: several teachers write one trajectory "
    "together, step by step.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
running.add_to(app)
looking.add_to(app)
making.add_to(app)


def main() -> None:
    """Run the command line; every error that cord raises on purpose becomes one clear sentence."""
    try:
        app()
    except CordError as error:
        if "--json" in sys.argv:
            print(json.dumps({"error": str(error), "exit_code": error.exit_code}))
        _complain(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `cord query ... | head`
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:  # a mistake of ours; even so no bare traceback
        if os.environ.get("CORD_DEBUG"):
            raise
        _complain(f"unexpected {type(error).__name__}: {error}")
        _complain("this is a fault in cord; CORD_DEBUG=1 shows where")
        sys.exit(1)


def _complain(sentence: str) -> None:
    err.print(f"cord: {sentence}", style="red", markup=False, highlight=False, soft_wrap=True)

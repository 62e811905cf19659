"""Everything cord can say went wrong, as one small tree.

    CordError                    a sentence for the user: what, where, what to do
    ├── UsageError               the command line was used wrongly            exit 2
    ├── RecipeError              the recipe is wrong: file, field, remedy     exit 2
    ├── ProblemsError            the problem source cannot be read at all     exit 2
    ├── EngineError              a model could not be reached or used         exit 1
    │   ├── EngineUnreachable    transient: worth another try
    │   ├── EngineRefused        whatever is asked: a wrong key, a model that is not served
    │   ├── UnusableAnswer       an answer that says nothing: log-probabilities missing, say
    │   └── ContextTooLong       this prompt does not fit this model
    ├── LakeError                the lake cannot be read or written           exit 1
    │   └── LakeAddressError     what was given cannot name a lake            exit 2
    ├── RunHeld              another process carries this run out         exit 1
    ├── RunLost              this process does not hold its run any more  exit 1
    └── ContractBroken           a data contract did not hold                 exit 3

An error crosses exactly one boundary (recipe, problem source, engine, lake) and its message is
written for the person who runs cord, who may never have read this code: no traceback is shown.
A single bad row or a single failed problem is *not* an error: it is data, and goes to quarantine
with its reason.
"""

from __future__ import annotations

from datetime import datetime


class CordError(Exception):
    """Base of every error that cord raises on purpose. `str(error)` is shown to the user as is.

    `details` stands beside the sentence where a program asked (`--json`)."""

    exit_code = 1

    def __init__(self, sentence: str, details: dict[str, object] | None = None) -> None:
        super().__init__(sentence)
        self.details = details or {}


class UsageError(CordError):
    """The command line was used wrongly."""

    exit_code = 2


class RecipeError(CordError):
    """The recipe is wrong. The message names the file and the field."""

    exit_code = 2


class ProblemsError(CordError):
    """The problem source cannot be read at all (single bad rows go to quarantine instead)."""

    exit_code = 2


class EngineError(CordError):
    """A model could not be loaded, reached or used."""


class EngineUnreachable(EngineError):
    """The engine did not answer, or answered that it cannot now: worth another try."""


class EngineRefused(EngineError):
    """The engine refuses whatever it is asked: a wrong key, a model that is not served. It ends the
    run, where any other refusal costs one problem."""


class UnusableAnswer(EngineError):
    """The engine answered, but not what it was asked: no text, a log-probability that is no number.
    An engine asks again a few times before it says so."""


class ContextTooLong(EngineError):
    """The prompt does not fit into this model's context."""


class LakeError(CordError):
    """The lake cannot be read or written, or is of another version."""


class LakeAddressError(LakeError):
    """What was given as the lake's address cannot name one."""

    exit_code = 2


class RunHeld(CordError):
    """Another process carries this run out. Nothing of it was touched."""

    def __init__(self, sentence: str, renewed_at: datetime | None = None) -> None:
        """`renewed_at` is its holder's last sign of life where that one is on another machine, so
        that nobody here can look whether it lives."""
        super().__init__(sentence)
        self.renewed_at = renewed_at


class RunLost(CordError):
    """This process does not hold its run any more, and has stopped. The run goes on elsewhere, or
    can be resumed."""


class ContractBroken(CordError):
    """A data contract did not hold. Nothing was published."""

    exit_code = 3

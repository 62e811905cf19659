"""How Prefect is set up when cord is run by hand. Imported before `prefect` itself.

Everything here is a default: what the user has set in the environment stays.
"""

from __future__ import annotations

import os

DEFAULTS = {
    # A cold ephemeral server needs longer than Prefect's 20 seconds on a small machine.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    # The terminal belongs to the progress bar; cord says itself what failed, without tracebacks.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_LEVEL": "INFO",
    # A server that is started again is away for a minute or so; six tries last two.
    "PREFECT_CLIENT_MAX_RETRIES": "6",
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",  # no task asks the server anything
    "PREFECT_RUNNER_POLL_FREQUENCY": "5",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def apply() -> None:
    """Set what the user has not set."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)

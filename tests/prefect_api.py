"""What a test asks a Prefect server, as a script of a user would."""

from __future__ import annotations

import time
from typing import Any

import httpx


def ask(api: str, method: str, path: str, **given: Any) -> Any:
    """The answer to a request; asked again while the server's SQLite is locked (503).

    Prefect's own client does the same: under load two writers of one file can both be refused.
    """
    for _ in range(20):
        answer = httpx.request(method, f"{api}/{path}", timeout=60, **given)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        time.sleep(0.5)
    answer.raise_for_status()
    return answer.json() if answer.content else None

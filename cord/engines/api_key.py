"""A server's key: read from the environment for each request, and kept and shown nowhere."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The environment variable that holds a key; None where the server wants none."""

    variable: str | None

    def headers(self) -> dict[str, str]:
        """What to send with a request. Raises ValueError, with half a sentence for the user."""
        if self.variable is None:
            return {}
        key = self._key()
        if not key:
            raise ValueError(
                f"needs a key, but the environment variable {self.variable} (api_key_env) is not "
                "set; set it and run again"
            )
        if not (key.isascii() and key.isprintable()):
            raise ValueError(
                f"needs a key, but what the environment variable {self.variable} holds has "
                "characters that no key can have; set it to the key alone"
            )
        return {"Authorization": f"Bearer {key}"}

    def hide(self, text: str) -> str:
        """`text` without the key: a proxy may echo it."""
        key = self._key()
        return text.replace(key, "***") if key else text

    @property
    def remedy(self) -> str:
        """What to do about a wrong or missing key."""
        if self.variable:
            return f"set the environment variable {self.variable} to the server's key"
        return "name the environment variable that holds its key in api_key_env"

    def _key(self) -> str:
        return os.environ.get(self.variable, "").strip() if self.variable else ""

"""What all sections of a recipe are made of."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, field_validator

SAFE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


class Section(BaseModel):
    """Base of every section: immutable, nothing unknown, nothing coerced, nothing that the lake or
    a server could not take."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _can_be_kept(cls, value: object) -> object:
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, int) and not -(2**63) <= one < 2**63:
                raise ValueError("is too large a number: it must fit into 64 bits")
            if isinstance(one, str) and any("\ud800" <= letter <= "\udfff" for letter in one):
                raise ValueError("holds half a surrogate pair, which is no Unicode")
        return value


def without_secret(address: str) -> str:
    """The address of a file, as it is. Raises ValueError where it carries a name and a password, or
    a signature: the recipe lies in the lake, and stands on the dashboard."""
    if re.match(r"\w+://[^/]*@", address) or re.match(r"https?://[^?]*\?", address):
        raise ValueError(
            "a password in an address, or a signature; leave it out and give credentials in the "
            "environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, HF_TOKEN)"
        )
    return address

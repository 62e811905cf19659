"""What S3 said, as a sentence that tells the user what to do.

The same trouble comes in three dialects: boto3 names a code; deltalake (object_store) and DuckDB
put the code, or the HTTP status, somewhere into a long text. One place knows them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from cord.errors import LakeError

TRIES: Final = 3
"""How often a request is made that fails in a way that may pass."""
BROKEN_OFF: Final = (IncompleteReadError, ResponseStreamingError, ReadTimeoutError)
AGAIN: Final = "then run the same command again: what is done is kept"

_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired")
_WRONG = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken")
_DENIED = ("AccessDenied", "AllAccessDisabled", "Forbidden", "403", "401", "Unauthorized")
_FULL = ("InsufficientCapacity", "QuotaExceeded", "XMinioStorageFull", "507")
_BUSY = (
    *("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "OperationAborted"),
    *("ConditionalRequestConflict", "500", "502", "503", "504", "429", "409"),
)
_CLOCK = ("RequestTimeTooSkewed",)
_ELSEWHERE = ("PermanentRedirect", "301", "AuthorizationHeaderMalformed")
_ALL = tuple(
    code
    for code in ("NoSuchBucket", *_EXPIRED, *_WRONG, *_FULL, *_CLOCK, *_BUSY, *_DENIED, *_ELSEWHERE)
    if not code.isdigit()
)
_STATUS = re.compile(r"(?:status code:? |\(HTTP |returned HTTP )(401|403|409|429|50[02347])\b")
_UNREACHED = re.compile(
    r"error sending request|timed out|could ?n[o']t (?:connect|establish)|dns error|"
    r"connection (?:closed|refused|reset|error)|receiving data from the peer",
    re.IGNORECASE,
)
_BROKE_OFF = re.compile(
    r"partial file|error decoding response body|response body error|invalid list response|"
    r"content-length header missing",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Which lake on which server."""

    root: str
    bucket: str
    endpoint: str
    region: str

    def in_words(self, code: str, action: str, key: str, message: str = "") -> str:
        """The sentence for an S3 error code; `action` on `key` is what was refused."""
        uri = f"{self.root}/{key}".rstrip("/")
        if code == "NoSuchBucket":
            return (
                f"there is no bucket {self.bucket!r} at {self.endpoint}: make it, or correct "
                "the lake's address"
            )
        if code in _ELSEWHERE:
            return (
                f"the bucket {self.bucket!r} is in another region than {self.region}: "
                "set AWS_REGION to the bucket's own"
            )
        if code in _EXPIRED:
            return (
                f"the S3 credentials for {uri} have expired ({code}): renew them "
                "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or AWS_PROFILE), "
                + AGAIN
            )
        if code in _WRONG:
            return (
                f"{self.endpoint} refused the credentials for {uri} ({code}): check "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            )
        if code in _CLOCK:
            return f"{self.endpoint} finds this machine's clock wrong ({code}): set it, {AGAIN}"
        if code in _DENIED:
            return (
                f"no permission for {action} on {uri} at {self.endpoint}: allow these credentials "
                "to list the bucket, and to read, write and delete objects under the lake's "
                f"prefix, {AGAIN}"
            )
        if code in _FULL:
            return (
                f"{self.endpoint} has no room for {uri} ({code}): make room, or have the quota "
                f"raised, {AGAIN}"
            )
        if code in _BUSY:
            return (
                f"{self.endpoint} keeps answering {code} for {uri}: wait until it is well, {AGAIN}"
            )
        return f"{self.endpoint} answered {code or 'an error'} to {action} on {uri}: {message}"

    def unreachable(self, key: str, how: str) -> str:
        """The sentence for a server that gives no answer."""
        return (
            f"cannot reach {self.endpoint} for {self.root}/{key} ({how}): check AWS_ENDPOINT_URL "
            f"and the network, {AGAIN}"
        )

    def broken_off(self, key: str) -> str:
        """The sentence for answers that came in part."""
        return (
            f"{self.endpoint} broke off its answer for {self.root}/{key}: check the network and "
            f"what stands between, {AGAIN}"
        )

    def explain(self, text: str, key: str) -> str | None:
        """The sentence for what deltalake or DuckDB said of S3; None where it is not about S3."""
        for code in _ALL:
            if re.search(rf"\b{code}\b", text):
                return self.in_words(code, _action_in(text), key)
        if "lacked the necessary privileges" in text or "valid authentication credentials" in text:
            return self.in_words("AccessDenied", _action_in(text), key)
        if found := _STATUS.search(text):
            return self.in_words(found[1], _action_in(text), key)
        if _BROKE_OFF.search(text):
            return self.broken_off(key)
        if found := _UNREACHED.search(text):
            return self.unreachable(key, found[0].lower())
        return None

    @contextmanager
    def speaking(self, key: str = "") -> Iterator[None]:
        """Turn what boto3 raises into a `LakeError` with a sentence."""
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
            raise LakeError(
                f"no usable S3 credentials for {self.root}: set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            ) from error
        except ProfileNotFound as error:
            raise LakeError(f"{error}; check AWS_PROFILE") from error
        except (IncompleteReadError, ResponseStreamingError) as error:
            raise LakeError(self.broken_off(key)) from error
        except (BotoConnectionError, HTTPClientError) as error:
            raise LakeError(self.unreachable(key, type(error).__name__)) from error
        except ClientError as error:
            said = error.response.get("Error", {})
            code, message = said.get("Code", ""), said.get("Message", "")
            raise LakeError(self.in_words(code, error.operation_name, key, message)) from error
        except BotoCoreError as error:
            raise LakeError(f"S3 failed for {self.root}/{key}: {error}") from error


def _action_in(text: str) -> str:
    """`Error performing PUT http://...`: the HTTP method, where one is told."""
    found = re.search(r"\b(GET|PUT|POST|HEAD|DELETE)\b", text)
    return found[1] if found else "a request"

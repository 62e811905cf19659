"""Fetching problem files from S3 to a scratch folder; credentials come from the environment."""

from __future__ import annotations

from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from cord.errors import ProblemsError


def download(address: str, folder: Path, endings: tuple[str, ...]) -> list[tuple[str, Path]]:
    """Fetch `s3://bucket/key`, or every object below it that ends in one of `endings`.

    Returns (address, local file) in the order of keys. Raises `ProblemsError`."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    if not bucket:
        raise ProblemsError(f"problems.path: {address} names no bucket; write s3://bucket/key")
    try:
        # A session of its own: boto3's default one is not safe to share between threads.
        client = boto3.session.Session().client(
            "s3", config=Config(connect_timeout=10, retries={"max_attempts": 3})
        )
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        below = key if key.endswith("/") or not key else key + "/"
        names = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        if key in names:
            chosen = [key]
        else:
            chosen = [
                name
                for name in sorted(names)
                if name.startswith(below) and name.lower().endswith(endings)
            ]
        files = []
        for number, name in enumerate(chosen):
            # The number keeps `a/x.jsonl` and `b/x.jsonl` apart.
            local = folder / f"{number}-{name.rpartition('/')[2]}"
            client.download_file(bucket, name, str(local))
            files.append((f"s3://{bucket}/{name}", local))
    except NoCredentialsError:
        raise ProblemsError(
            f"problems.path: {address} needs credentials; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        ) from None
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown error")
        raise ProblemsError(f"problems.path: {address} cannot be read: S3 says {code}") from None
    except (BotoCoreError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ProblemsError(f"problems.path: {address} cannot be read: {reason}") from None
    if not files:
        raise ProblemsError(
            f"problems.path: there is no object {address}, and none below it that ends in "
            f"{', '.join(endings)}"
        )
    return files

"""Makes the lake's bucket, and says what cord may do in it: infra/s3-policy.json as its policy.

    python infra/make_bucket.py BUCKET PREFIX

With the S3 server's admin keys in the environment; twice is the same as once. On Amazon's S3 attach
the policy to cord's role instead (docs/deploy.md).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

USER = "arn:aws:iam::000000000000:user/cord"
"""As SeaweedFS names the user `cord` of its own list (infra/make-secrets.sh)."""


def policy(bucket: str, prefix: str, user: str = USER) -> str:
    """infra/s3-policy.json for one bucket, prefix and user, as a bucket's policy."""
    text = (Path(__file__).parent / "s3-policy.json").read_text()
    filled = json.loads(text.replace("BUCKET", bucket).replace("PREFIX", prefix))
    for statement in filled["Statement"]:
        statement["Principal"] = {"AWS": [user]}
    return json.dumps(filled)


def main() -> None:
    bucket, prefix = sys.argv[1:]
    client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        there = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")
        if error.response["Error"]["Code"] not in there:
            raise
    client.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, prefix))
    print(f"bucket {bucket} is there, and cord may use {prefix}/ as infra/s3-policy.json says")


if __name__ == "__main__":
    main()

"""Makes the lake's bucket, with a policy that keeps what is published from being deleted.

    python infra/make_bucket.py BUCKET PREFIX

With the S3 server's admin keys in the environment; twice is the same as once.
"""

from __future__ import annotations

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

KEPT = ("releases/*", "datasets/*", "tables/*", "runs/*/run.json", "runs/*/recipe.json")
"""Nothing that cord itself deletes."""


def policy(bucket: str, prefix: str) -> str:
    """Nobody deletes what a release rests on."""
    kept = [f"arn:aws:s3:::{bucket}/{prefix}/{part}" for part in KEPT]
    deny = {"Sid": "KeepWhatIsPublished", "Effect": "Deny", "Principal": "*"}
    statement = {**deny, "Action": ["s3:DeleteObject"], "Resource": kept}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def main() -> None:
    bucket, prefix = sys.argv[1:]
    client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in (
            "BucketAlreadyOwnedByYou",
            "BucketAlreadyExists",
        ):
            raise
    client.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, prefix))
    print(f"bucket {bucket} is there; what is published under {prefix}/ is kept")


main()

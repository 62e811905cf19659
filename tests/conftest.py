"""Fixtures that several packages' tests share, each in a file of its own."""

pytest_plugins = ["tests.s3_server"]

"""Fixtures that several packages' tests share, each in a file of its own."""

pytest_plugins = ["s3_server", "vllm_server", "factory"]

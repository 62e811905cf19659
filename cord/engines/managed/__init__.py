"""A vLLM server that cord starts, keeps up and stops."""

"""A model on a vLLM server, over HTTP: token ids in and out.

Nothing is imported here: the server's own process imports `forced_decoding` from this room.
"""

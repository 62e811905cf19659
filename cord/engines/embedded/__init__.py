"""A model in this process, through transformers: for small ones, on a CPU or a GPU."""

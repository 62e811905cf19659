"""A million records: time and memory of every stage behind decoding, and of questions to them."""

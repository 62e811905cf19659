"""What is published: immutable, named by a manifest, held against it."""

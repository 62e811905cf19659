"""Benchmarks of cord as a service."""

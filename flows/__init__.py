"""Flows and the command line. Prefect's settings come first: they are read when it is imported."""

from flows import prefect_settings

prefect_settings.apply()

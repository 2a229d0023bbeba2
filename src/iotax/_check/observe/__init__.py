"""Observing one call: its start, its response, its streams, its failures."""

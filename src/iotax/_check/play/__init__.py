"""Sending requests to an application, in every variation that PEP 3333 allows."""

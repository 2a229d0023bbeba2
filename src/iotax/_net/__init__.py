"""Sockets that listen."""

"""iotax check: does an application obey PEP 3333?

The application runs in a process of its own (play/strict_server.py), called by the server's own
core and bridge; between the bridge and the application stands a guard (observe/guarded_call.py)
that sees every call, every object and every block. What it reports is collected here.
"""

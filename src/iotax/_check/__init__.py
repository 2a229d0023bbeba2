"""iotax check: does an application obey PEP 3333?

The application runs in a process of its own (play/strict_server.py), called by the server's own
core and bridge. Between the bridge and the application, observe/guarded_call.py checks every call,
object and block, and reports its findings.
"""

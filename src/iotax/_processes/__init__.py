"""The supervisor and the processes that it starts: workers, and the template of --preload."""

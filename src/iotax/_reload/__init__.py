"""The --reload option for development: watches files and restarts workers."""

"""The configuration: options, their values, and where they come from."""

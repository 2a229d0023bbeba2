"""The application: found by its name, loaded, and told from other code."""

"""Errors in a configuration, with messages for its author."""


class ConfigError(ValueError):
    """An invalid option, variable or argument. The message names it, its value, what is expected,
    and an example."""


class ConfigTypeError(ConfigError, TypeError):
    """An argument of the wrong type."""

"""What is wrong with a configuration, in words for the person who wrote it."""


class ConfigError(ValueError):
    """A bad option, variable or argument; the text names it, its value, what is allowed and an
    example."""


class ConfigTypeError(ConfigError, TypeError):
    """An argument of a type that the option does not take."""

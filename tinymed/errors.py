"""The one error a user can cause and mend; the command line prints it as one line."""


class UserError(ValueError):
    """A wrong file, argument or value: says what was given, what is accepted and what to do."""

"""The one exception that users see as a sentence."""


class UserError(ValueError):
    """Something the user gave cannot be used; the text is one sentence that says what to do.

    Entry points print it alone, without a traceback, and exit with a non-zero code. Faults of our own
    stay ``AssertionError`` and keep their traceback.
    """

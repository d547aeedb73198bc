"""How a command ends other than well: a sentence that says what to do, and an exit code."""

FAILED = 1  # Something did not work; the sentence says what, and where its log is.
WRONG_USE = 2  # The command line or labs.env cannot be understood.
MUST_INSTALL = 3  # Something has to be installed first; the exact line was printed.
INTERRUPTED = 130  # Ctrl-C.


class Trouble(Exception):
    """Ends the command: the text goes to the user as it is, without a traceback."""

    def __init__(self, sentence: str, exit_code: int = FAILED) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code

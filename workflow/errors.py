"""The errors that a user can mend. Everything else is a bug and keeps its traceback."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: what is wrong, where (file and line), and how to mend it. The commands print
    it without a traceback and exit with code 2.
    """


class GateError(InputError):
    """A gate saw that the numbers to come would be meaningless.

    Parameters
    ----------
    message : str
    gate : str
        Its name in the section `gates` of the configuration.
    """

    def __init__(self, message: str, gate: str = "") -> None:
        super().__init__(message)
        self.gate = gate


class ToolError(InputError):
    """A program that was started failed, hung, or left something unusable; the message says where its log is."""


class MemoryShortageError(ToolError):
    """A program that was started asked for more memory than the GPU or the machine has."""

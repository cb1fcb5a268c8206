"""The error tree, grouped by who must act.

    GatewayError
    ├── ConfigError    the operator: mend the configuration; exit 2
    ├── AuthError      the sender: use another key; 401
    ├── MessageError   the sender: change the request; 400
    └── LogError       nobody: nothing is promised, a retry is safe; 503

What is expected of a stage or of a destination is a value (``Refusal``,
``Verdict``), not an exception.
"""

from typing import Literal


class GatewayError(Exception):
    """Anything the gateway raises on purpose."""


class ConfigError(GatewayError):
    """The configuration cannot be used; each text names file, key and remedy.

    There is a text for each thing that is wrong.
    """

    def __str__(self) -> str:
        """All texts, one a line."""
        return "\n".join(map(str, self.args))


class AuthError(GatewayError):
    """No key, or a key nobody has; ``code`` is the answer's."""

    def __init__(
        self, code: Literal["missing_write_key", "unknown_write_key"], message: str
    ) -> None:
        super().__init__(message)
        self.code = code


class MessageError(GatewayError):
    """The request as a whole cannot be used; ``code`` is the answer's."""

    def __init__(
        self,
        code: Literal[
            "invalid_json", "invalid_message", "too_large", "too_many_messages"
        ],
        message: str,
    ) -> None:
        super().__init__(message)
        self.code = code


class LogError(GatewayError):
    """The log did not say that it kept this; sending it again is safe."""

    def __init__(
        self,
        message: str,
        code: Literal["log_unavailable", "overloaded"] = "log_unavailable",
    ) -> None:
        super().__init__(message)
        self.code = code


def place_of(error: BaseException) -> str:
    """Where an unexpected exception was raised: a function and a line, no values."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "?"
    return f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}"

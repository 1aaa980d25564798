"""Secrets in mounted files, read whenever they are needed: they are rotated in place."""

from pathlib import Path


class SecretFileError(Exception):
    """The file has no secret that can be used; the message names the file, never its content.

    Attributes:
        file: Its path.
        problem: What is wrong with it, to go on after its name.
    """

    def __init__(self, file: str, problem: str) -> None:
        """Say what is wrong with a file."""
        super().__init__(f"{file} {problem}")
        self.file, self.problem = file, problem


def read_secret(file: str) -> str:
    """Return the secret in a file: one line of printable ASCII, without the space around it.

    Raises:
        SecretFileError: There is none.
    """
    try:
        text = Path(file).read_text().strip()
    except (OSError, UnicodeError) as error:
        raise SecretFileError(file, "cannot be read") from error
    if not text or not text.isprintable() or not text.isascii():
        raise SecretFileError(file, "is empty or not one line of text")
    return text

"""Secrets in mounted files, read whenever they are needed: they are rotated in place."""

from pathlib import Path


class SecretFileError(Exception):
    """The file has no secret that can be used; the message names the file, never its content."""


def read_secret(file: str) -> str:
    """Return the secret in a file: one line of printable ASCII, without the space around it.

    Raises:
        SecretFileError: There is none.
    """
    try:
        text = Path(file).read_text().strip()
    except (OSError, UnicodeError) as error:
        raise SecretFileError(f"{file} cannot be read") from error
    if not text or not text.isprintable() or not text.isascii():
        raise SecretFileError(f"{file} is empty or not one line of text")
    return text

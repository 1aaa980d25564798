"""A record as text: versioned JSON, compressed, in letters that any resource can hold."""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from typing import Any

VERSION = 2
MAX_CHARACTERS = 16 * 1024


def to_text(payload: Mapping[str, Any]) -> str:
    """Return the payload of a record as text."""
    packed = json.dumps({"version": VERSION, **payload}, separators=(",", ":")).encode()
    return base64.b64encode(zlib.compress(packed, 9)).decode()


def from_text(text: str) -> dict[str, Any]:
    """Return the payload of a record.

    Raises:
        ValueError: The text is damaged, or written by a newer version than this one can read.
    """
    try:
        payload = json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
    except (binascii.Error, zlib.error, ValueError) as error:
        raise ValueError("this is no record of Penstock") from error
    if not isinstance(payload, dict) or payload.get("version", VERSION + 1) > VERSION:
        raise ValueError(f"a record of version {VERSION} or older is needed")
    return payload

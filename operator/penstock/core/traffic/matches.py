"""Istio's match blocks: what a Rollout says of requests, together with what a route says already.

A request must fit both. Blocks of one route are alternatives, so each of ours meets each of the
route's. Where Istio cannot say both, the block is left out: nobody is matched who should not be.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from penstock.api.v1alpha1.matching import HttpMatch, StringMatch

Block = Mapping[str, Any]
Text = Mapping[str, str]
_COOKIE = "cookie"


class UnsayableError(Exception):
    """Istio has no words for requests that fit both."""


def joined(own: Sequence[Block], ours: Sequence[Block]) -> list[dict[str, Any]]:
    """Return blocks for the requests that a route takes and that fit any of ours.

    Args:
        own: The match blocks of the route; none where it takes all.
        ours: Blocks as `written` gives them.
    """
    found: list[dict[str, Any]] = []
    for theirs, mine in product(own or ({},), ours):
        try:
            block = _both(theirs, mine)
        except UnsayableError:
            continue
        if block is not None and block not in found:
            found.append(block)
    return found


def unsayable(own: Sequence[Block], ours: Sequence[Block]) -> bool:
    """Return whether Istio cannot say that a request fits both a block of the route and ours."""
    for theirs, mine in product(own or ({},), ours):
        try:
            _both(theirs, mine)
        except UnsayableError:
            return True
    return False


def written(match: HttpMatch) -> dict[str, Any]:
    """Return Istio's block for requests that fit all that is said."""
    block: dict[str, Any] = {}
    if match.path is not None:
        block["uri"] = _text(match.path)
    if match.method is not None:
        block["method"] = _text(match.method)
    headers: dict[str, Text] = {}
    for name, wanted in (match.headers or {}).items():
        headers = _with_header(headers, name, _text(wanted))
    for name, wanted in (match.cookies or {}).items():
        headers = _with_header(headers, _COOKIE, {"regex": cookie_pattern(name, wanted)})
    return {**block, "headers": headers} if headers else block


def cookie_pattern(name: str, wanted: StringMatch) -> str:
    """Return the RE2 expression that a whole Cookie header fits if the cookie is as wanted."""
    if wanted.exact is not None:
        value = re.escape(wanted.exact)
    elif wanted.prefix is not None:
        value = re.escape(wanted.prefix) + "[^;]*"
    else:
        value = f"(?:{wanted.regex})"
    return rf"(.*;\s*)?{re.escape(name)}={value}(;.*)?"


def _text(wanted: StringMatch) -> dict[str, str]:
    return wanted.model_dump(exclude_none=True)


def _both(theirs: Block, mine: Block) -> dict[str, Any] | None:
    """Return the block for requests that fit both; None where none can."""
    block = dict(theirs)
    for part in ("uri", "method"):
        if part in mine:
            text = meet(theirs.get(part, {}), mine[part])
            if text is None:
                return None
            block[part] = text
    headers: dict[str, Text] = dict(theirs.get("headers", {}))
    for name, wanted in mine.get("headers", {}).items():
        if headers.get(name) != wanted:
            headers = _with_header(headers, name, wanted)
    return {**block, "headers": headers} if headers else block


def meet(one: Text, other: Text) -> dict[str, str] | None:
    """Return the match of the texts that fit both; None where no text does.

    Raises:
        UnsayableError: Only a regular expression beside something else could say it.
    """
    if not one or not other or one == other:
        return dict(one or other)
    if "regex" in one or "regex" in other:
        raise UnsayableError
    for text, bound in ((one, other), (other, one)):
        if "prefix" in bound and next(iter(text.values())).startswith(bound["prefix"]):
            return dict(text)
    return None


def _with_header(headers: Mapping[str, Text], name: str, wanted: Text) -> dict[str, Text]:
    """Return the headers with one more condition.

    Names of headers are the same in capitals for a proxy, and different keys for Istio: so one
    header can have several conditions, as several cookies need them.
    """
    spelled = next((way for way in _spellings(name) if way not in headers), None)
    if spelled is None:
        raise UnsayableError
    return {**headers, spelled: wanted}


def _spellings(name: str) -> Iterator[str]:
    letters = [index for index, letter in enumerate(name) if letter.isalpha()]
    for number in range(2 ** min(len(letters), 8)):
        capitals = {index for bit, index in enumerate(letters[:8]) if number >> bit & 1}
        yield "".join(c.upper() if i in capitals else c for i, c in enumerate(name))

"""What comes in from outside, without what must not go out: facts are made of nothing else.

Everything that servers, keys in etcd and drivers say passes here once, before it becomes a fact. What is sent to
servers does not.
"""

from __future__ import annotations

import re
from typing import Iterable

from ...urls import redacted
from ..facts import JSON

#: Documents are cut below this depth: nothing that matters is so deep, and whoever reads the facts can recurse.
_DEEPEST = 20

#: Stands where a secret was.
HIDDEN = '***'

#: Secrets shorter than this are not looked for in texts: they would be found in ordinary words.
_SHORTEST = 4

#: A URL has no blanks, and a password in it may hold anything else.
_WORD = re.compile(r'\S+')

#: Names of what is secret, in libpq's connection strings, in query strings and in JSON.
_SECRET_NAME = r'[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|authorization)'
_NAMED = re.compile(_SECRET_NAME, re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"""(?<![\w.-])({_SECRET_NAME}["']?\s*[=:]\s*)(?:(?:basic|bearer)\s+)?("[^"]*"|'(?:[^'\\]|\\.)*'|[^\s,;&]+)""",
    re.IGNORECASE,
)


class Redaction:
    """Removes secrets.

    :param secrets: those that are known, to be removed from error texts as well: a server may quote what it was sent.
    """

    def __init__(self, secrets: Iterable[object] = ()) -> None:
        self._secrets: set[str] = set()
        for secret in secrets:
            self.learn(secret)

    def learn(self, secret: object) -> None:
        """Remove this from error texts as well.

        :param secret: a password or token. What is no text, or too short to be told from a word, is ignored.
        """
        if isinstance(secret, str) and len(secret) >= _SHORTEST:
            self._secrets.add(secret)

    def url(self, url: str) -> str:
        """Return a URL without user name, password and secret parameters."""
        return _ASSIGNED.sub(rf'\1{HIDDEN}', redacted(url))

    def text(self, text: str) -> str:
        """Return a text, such as a name, without what stands in it as a URL's user name or as a password."""
        return _ASSIGNED.sub(rf'\1{HIDDEN}', _WORD.sub(_without_user_info, text))

    def error(self, text: str) -> str:
        """Return the text of an error without that, and without the secrets that are known."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return self.text(text)

    def json(self, value: object, depth: int = 0) -> JSON:
        """Return a document with all its names and texts redacted; a text with a secret's name is hidden.

        :param value: the document.
        :param depth: how deep it lies in another one.
        """
        if depth > _DEEPEST:
            return '...'
        if isinstance(value, dict):
            return {self.text(str(name)): self._item(str(name), item, depth + 1) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.json(item, depth + 1) for item in value]
        return value if value is None or isinstance(value, (bool, int, float)) else self.text(str(value))

    def _item(self, name: str, value: object, depth: int) -> JSON:
        return HIDDEN if isinstance(value, str) and value and is_secret(name) else self.json(value, depth)


def _without_user_info(word: re.Match[str]) -> str:
    # Not a regular expression: on a text that somebody made for the purpose it would take the square of its length.
    text = word.group()
    start, end = text.find('://') + len('://'), text.rfind('@') + 1
    return text[:start] + text[end:] if len('://') <= start < end else text


def is_secret(name: str) -> bool:
    """Return whether a name, such as ``password``, is that of a secret."""
    return _NAMED.fullmatch(name) is not None

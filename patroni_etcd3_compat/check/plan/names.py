"""Names and URLs that get into the commands of a plan. They come from etcd, where anybody with access may have written
anything, and the commands are made to be pasted into a shell, perhaps root's.
"""

from __future__ import annotations

import re
from typing import Iterator

from ..facts import Facts

#: Letters and digits of any language, and nothing that a shell or grep would obey.
_NAME = re.compile(r'[\w ._:@+-]*')
_URL = re.compile(r'[A-Za-z][\w+.-]*://[\w.:\[\]%-]+(/[\w./%-]*)?', re.ASCII)


def refuse_commands(facts: Facts) -> None:
    """See to it that no name or URL could be a command.

    :param facts: what was collected.

    :raises:
        :exc:`ValueError`: one of them could; the text says which.
    """
    for whose, kind, text in _texts(facts):
        pattern = _URL if kind == 'URL' else _NAME
        if text and not pattern.fullmatch(text):
            raise ValueError(
                f'no plan is made: {whose} has the {kind} {text!r}. It would stand in commands that are made to be '
                'pasted into a shell, and anybody who can write to etcd could have put a command there. Find out who '
                'has, and put it right'
            )


def _texts(facts: Facts) -> Iterator[tuple[str, str, str | None]]:
    """Whose, whether it is a name or a URL, and the text itself."""
    yield 'the command line', 'URL', facts.etcd.dcs_url
    for entry in facts.etcd.listed or ():
        whose = f'member {entry.id} of etcd'
        yield whose, 'name', entry.name
        for url in entry.client_urls + entry.peer_urls:
            yield whose, 'URL', url
    for asked in facts.etcd.endpoints:
        yield 'a member of etcd', 'name', asked.name
        yield 'a member of etcd', 'URL', asked.url
        yield 'a member of etcd', 'version', asked.version
    for member in facts.patroni.members if facts.patroni else ():
        yield 'a member of Patroni', 'name', member.name
        yield 'a member of Patroni', 'version', member.version
        yield f'member {member.name!r} of Patroni', 'URL', member.api_url or ''

"""The line of a Nagios plug-in, which also has to come out when nothing else can be loaded: no imports here."""

from __future__ import annotations

from typing import Sequence


def line(status: str, text: object, performance: str = '') -> str:
    """Return the line.

    :param status: the word for the exit status, such as ``UNKNOWN``.
    :param text: what there is to say. A bar would end it, so there is none in it.
    :param performance: performance data.
    """
    said = ' '.join(str(text).split()).replace('|', '/')
    return f'PATRONI-ETCD3 {status} - {said}{" | " if performance else ""}{performance}\n'


def wanted(args: Sequence[str]) -> bool:
    """Return whether a command line asks for that line, even one that is wrong otherwise."""
    pairs = zip(args, [*args[1:], ''])
    return any(
        arg in ('-fnagios', '--format=nagios') or (arg in ('-f', '--format') and value == 'nagios')
        for arg, value in pairs
    )

"""The releases of Patroni for environments, tests, patches and the matrix. This is the only list of them."""

from __future__ import annotations

from typing import NamedTuple


class PatroniRelease(NamedTuple):
    """One release of Patroni.

    :param number: such as ``'4.0.7'``.
    :param urllib3: lines of urllib3 that it is tested with; the patched release runs on the first.
    :param shipped_in: the distribution that ships it.
    :param patched: whether ``patches/`` has a patch for it.
    """

    number: str
    urllib3: tuple[str, ...] = ('2',)
    shipped_in: str = ''
    patched: bool = True


#: The last release of each line, those of distributions, and the last one that needs member slots (4.0.2). The oldest
#: and the newest are tested with both lines of urllib3.
RELEASES = (
    PatroniRelease('3.0.2', ('1.26', '2'), 'Debian 12'),
    PatroniRelease('3.0.4'),
    PatroniRelease('3.1.2', ('1.26',)),
    PatroniRelease('3.2.2', shipped_in='Ubuntu 24.04'),
    PatroniRelease('3.3.11'),
    PatroniRelease('4.0.2', patched=False),
    PatroniRelease('4.0.7', shipped_in='Debian 13'),
    PatroniRelease('4.0.11', ('1.26',)),
    PatroniRelease('4.1.5', ('1.26', '2'), 'Debian testing'),
)

NEWEST = RELEASES[-1].number
"""The newest release of Patroni, which everything runs on unless it says otherwise."""

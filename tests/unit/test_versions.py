"""The table of etcd releases and the functions that read it."""

from __future__ import annotations

import pytest

from patroni_etcd3_compat.options import parse_version_prefix
from patroni_etcd3_compat.versions import (
    LINES,
    gateway_of,
    line_of,
    lists_for_admins_only,
    parse_version,
    wants_token_for_list,
)


@pytest.mark.parametrize(
    'text, version',
    [
        ('3.2.26', (3, 2, 26)),
        ('3.4.0', (3, 4, 0)),
        ('3.6', (3, 6, 0)),
        ('3.6.0-rc.1', (3, 6, 0)),
        ('3.5.30+git', (3, 5, 30)),
        ('3.5.0-alpha.0+deadbeef', (3, 5, 0)),
        ('v3.4.23', (3, 4, 23)),
        ('3.10.2', (3, 10, 2)),
        ('not_decided', None),
        ('', None),
        ('3', None),
        ('3.x.1', None),
        ('3.4.x', None),
        (None, None),
        (3.4, None),
    ],
)
def test_versions_parse_with_and_without_suffix(text: object, version: object) -> None:
    """A version is parsed with any suffix; a text that is not a version gives ``None``."""
    assert parse_version(text) == version


@pytest.mark.parametrize(
    'text, prefix',
    [
        ('3.0.4', '/v3alpha'),
        ('3.1.20', '/v3alpha'),
        ('3.2.26', '/v3alpha'),
        ('3.3.0', '/v3beta'),
        ('3.3.25', '/v3beta'),
        ('3.4.0', '/v3'),
        ('3.4.23', '/v3'),
        ('3.5.30', '/v3'),
        ('3.6.0-rc.1', '/v3'),
        ('3.7.0', '/v3'),
        ('4.0.0', '/v3'),
    ],
)
def test_each_release_has_its_prefix(text: str, prefix: str) -> None:
    """The prefix follows from the version of the member (measured for each release)."""
    version = parse_version(text)
    assert version
    gateway = gateway_of(version)
    assert gateway and gateway.prefix == prefix and prefix not in gateway.also


@pytest.mark.parametrize('version', [(3, 0, 3), (2, 3, 8), (0, 4, 6)])
def test_too_old_releases_have_no_gateway(version: tuple[int, int, int]) -> None:
    """No release before 3.0.4 has a usable gateway."""
    assert gateway_of(version) is None


@pytest.mark.parametrize(
    'value, prefix', [(None, None), ('auto', None), ('/v3', '/v3'), ('/v3beta', '/v3beta'), ('/v3alpha', '/v3alpha')]
)
def test_version_prefix_option(value: object, prefix: object) -> None:
    """``version_prefix`` accepts the documented values."""
    assert parse_version_prefix(value) == prefix


@pytest.mark.parametrize('value', ['v3', '/v3/', '', '/v2', 'AUTO', 3, True, ['/v3'], {'a': 1}])
def test_any_other_version_prefix_is_refused(value: object) -> None:
    """The error for another value lists the allowed ones."""
    with pytest.raises(ValueError) as e:
        parse_version_prefix(value)
    assert f'version_prefix is {value!r}, allowed are: auto, /v3, /v3beta, /v3alpha' == str(e.value)


def test_lines_follow_each_other() -> None:
    """Each release line can be upgraded to from the previous line and from no other."""
    minors = [line.minor for line in LINES]
    assert minors == sorted(set(minors))
    for before, line in zip(LINES, LINES[1:]):
        assert line.upgrade_from[:2] == before.minor
        assert line.guide.endswith(f'/upgrade_{line.minor[0]}_{line.minor[1]}/')
        assert (before.end_of_life or '9') < (line.end_of_life or '99')


@pytest.mark.parametrize(
    'text, guarded, admins',
    [
        ('3.3.25', False, False),
        ('3.4.41', False, False),
        ('3.4.42', True, True),
        ('3.4.43', True, False),
        ('3.5.27', False, False),
        ('3.5.28', True, True),
        ('3.5.29', True, False),
        ('3.6.8', False, False),
        ('3.6.9', True, True),
        ('3.6.10', True, False),
        ('3.7.0', True, False),
    ],
)
def test_guard_of_the_member_list(text: str, guarded: bool, admins: bool) -> None:
    """The releases that require a token, and those that require an admin's, are known (CVE-2026-33413)."""
    version = parse_version(text)
    assert version and (wants_token_for_list(version), lists_for_admins_only(version)) == (guarded, admins)


def test_line_of() -> None:
    """The line follows from major and minor version; there is none for a release outside the table."""
    line = line_of((3, 5, 16))
    assert line and line.minor == (3, 5) and not line.upgrade_with_auth
    assert line_of((3, 0, 17)) is None and line_of((4, 0, 0)) is None

"""The table of etcd releases and the readers around it."""
import pytest

from patroni_etcd3_compat.versions import gateway_of, parse_version, parse_version_prefix


@pytest.mark.parametrize('text, version', [
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
])
def test_versions_parse_with_and_without_suffix(text: object, version: object) -> None:
    """A version parses whatever comes behind it, and what is none is none."""
    assert parse_version(text) == version


@pytest.mark.parametrize('text, prefix', [
    ('3.0.4', '/v3alpha'), ('3.1.20', '/v3alpha'), ('3.2.26', '/v3alpha'), ('3.3.0', '/v3beta'), ('3.3.25', '/v3beta'),
    ('3.4.0', '/v3'), ('3.4.23', '/v3'), ('3.5.30', '/v3'), ('3.6.0-rc.1', '/v3'), ('3.7.0', '/v3'), ('4.0.0', '/v3'),
])
def test_each_release_has_its_prefix(text: str, prefix: str) -> None:
    """The prefix follows from the version of the member (FACTS: measured per release)."""
    version = parse_version(text)
    assert version
    gateway = gateway_of(version)
    assert gateway and gateway.prefix == prefix and prefix not in gateway.also


@pytest.mark.parametrize('version', [(3, 0, 3), (2, 3, 8), (0, 4, 6)])
def test_too_old_releases_have_no_gateway(version: 'tuple[int, int, int]') -> None:
    """Nothing before 3.0.4 can be used."""
    assert gateway_of(version) is None


@pytest.mark.parametrize('value, prefix', [
    (None, None), ('auto', None), ('/v3', '/v3'), ('/v3beta', '/v3beta'), ('/v3alpha', '/v3alpha')])
def test_version_prefix_option(value: object, prefix: object) -> None:
    """The documented values of ``version_prefix``."""
    assert parse_version_prefix(value) == prefix


@pytest.mark.parametrize('value', ['v3', '/v3/', '', '/v2', 'AUTO', 3, True, ['/v3'], {'a': 1}])
def test_any_other_version_prefix_is_refused(value: object) -> None:
    """The error lists what is allowed."""
    with pytest.raises(ValueError) as e:
        parse_version_prefix(value)
    assert 'version_prefix is {0!r}, allowed are: auto, /v3, /v3beta, /v3alpha'.format(value) == str(e.value)

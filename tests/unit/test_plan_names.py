"""Names and URLs that are written into commands: what a shell would obey gets into no plan."""

from __future__ import annotations

from typing import Any

import pytest

from patroni_etcd3_compat.check.facts import Facts
from patroni_etcd3_compat.check.findings import judge
from patroni_etcd3_compat.check.plan import make_plan, render_plan
from tests.unit.finding_facts import facts, of_versions, patroni_facts, patroni_member

BAD_NAMES = [
    'a;reboot',
    '$(reboot)',
    'a`reboot`',
    'a"',
    "a'",
    'a\nreboot',
    'a\n',
    'a|b',
    'a&b',
    'a>b',
    'a\\b',
    'a(b)',
    'a#b',
    'a*',
    '\x1b[2J',
    'a\u2028b',
]
BAD_URLS = [
    'http://10.0.0.1:2379/$(reboot)',
    'http://10.0.0.1:2379;reboot',
    'http://a b',
    'http://a\n',
    "http://a'",
    'http://a/?x&reboot',
    '-o/etc/passwd',
    'nonsense',
    'http://',
    'http://\u0661',
    '`reboot`@http://a;b',
    'http://u:pw@10.0.0.2:2379',
]


def some() -> Any:
    """A cluster as it should be."""
    ret = facts(
        of_versions('3.4.23', '3.4.23', '3.4.23'),
        patroni_facts(patroni_member('node1', '3.3.2'), patroni_member('node2', '3.3.2')),
    )
    for number, entry in enumerate(ret.etcd.listed or (), 1):
        entry.peer_urls = [f'http://10.0.0.{number}:2380']
    return ret


def refused(those: Facts, text: str) -> None:
    """Neither kind of plan is made, and it is said why."""
    for etcd_to, patroni_to in (('3.5', None), (None, '4.1')):
        with pytest.raises(ValueError) as e:
            make_plan(those, judge(those), etcd_to, patroni_to, False)
        assert repr(text) in str(e.value) and 'anybody who can write to etcd' in str(e.value)


@pytest.mark.parametrize('name', BAD_NAMES)
def test_bad_names(name: str) -> None:
    """Of whatever member."""
    those = some()
    those.etcd.listed[1].name = name
    refused(those, name)
    those = some()
    those.etcd.endpoints[1].name = name
    refused(those, name)
    those = some()
    those.patroni.members[1].name = name
    refused(those, name)


@pytest.mark.parametrize('url', BAD_URLS)
def test_bad_urls(url: str) -> None:
    """Wherever they are from."""
    for change in ('listed[1].client_urls', 'listed[1].peer_urls'):
        those = some()
        (those.etcd.listed[1].client_urls if 'client' in change else those.etcd.listed[1].peer_urls).append(url)
        refused(those, url)
    those = some()
    those.etcd.endpoints[1].url = url
    refused(those, url)
    those = some()
    those.patroni.members[1].api_url = url
    refused(those, url)


@pytest.mark.parametrize('name', ['node-1', 'node_1.example.org', 'a:b@c+d', 'é', 'two words', '', None])
def test_good_names(name: str | None) -> None:
    """Those that people use."""
    those = some()
    those.etcd.listed[1].name = name
    those.etcd.endpoints[1].name = name
    assert render_plan(make_plan(those, judge(those), '3.5', None, False), 'markdown')


@pytest.mark.parametrize(
    'url', ['https://etcd-1.example.org:2379', 'http://[fe80::1%25eth0]:2379', 'http://a_b/', 'unixs://a:1', None, '']
)
def test_good_urls(url: str | None) -> None:
    """Those that etcd and Patroni take."""
    those = some()
    if url:
        those.etcd.listed[1].client_urls.append(url)
    those.patroni.members[1].api_url = url
    for etcd_to, patroni_to in (('3.5', None), (None, '4.1')):
        assert make_plan(those, judge(those), etcd_to, patroni_to, False).steps


@pytest.mark.parametrize('version', ['3.4.23\n```\nreboot', '3.4.23;reboot'])
def test_bad_versions(version: str) -> None:
    """They stand in titles and texts."""
    those = some()
    those.etcd.endpoints[0].version = version
    refused(those, version)
    those = some()
    assert those.patroni is not None
    those.patroni.members[0].version = version
    refused(those, version)

"""The Patroni cluster as its keys in the DCS describe it."""

from __future__ import annotations

import json
import re
from typing import Iterable, Mapping

from patroni.dcs import Member
from patroni.utils import parse_bool, parse_int

from ...mark import FIELD, read_mark
from ..facts import JSON, Patroni, PatroniMember, Switchover, Synchronous
from .interview import Keys
from .redaction import Redaction
from .settings import Settings
from .values import PRIMARY, as_dict, as_int, as_text, as_texts

#: What matters here of the dynamic configuration.
_CONFIG = (
    'ttl',
    'loop_wait',
    'retry_timeout',
    'failsafe_mode',
    'member_slots_ttl',
    'slots',
    'permanent_slots',
    'permanent_replication_slots',
    'ignore_slots',
    'synchronous_mode',
    'synchronous_mode_strict',
    'synchronous_node_count',
    'maximum_lag_on_failover',
)

#: A restore_command, for one, may hold credentials.
_STANDBY_CLUSTER = ('host', 'port', 'primary_slot_name')


class Cluster:
    """The Patroni cluster as it stands in the DCS.

    :param settings: which cluster.
    :param keys: its keys, ``None`` if no member of etcd gave them.
    """

    def __init__(self, settings: Settings, keys: Keys | None) -> None:
        self.facts = Patroni(settings.scope or '', settings.namespace)
        self.facts.expected, self.facts.expected_number = list(settings.members), settings.members_number
        self.facts.group = None if settings.group is None else parse_int(settings.group)
        #: members as Patroni reads them, by name
        self.nodes: dict[str, Member] = {}
        self._redaction = Redaction(settings.secrets)
        if keys is None:
            self.facts.error = f'no etcd member gave the keys below {settings.path}'
        else:
            self._read(keys.values)
            self.facts.scopes = keys.scopes
            if not keys.values:
                self.facts.error = (
                    f'there are no keys below {settings.path} in etcd: scope or namespace is wrong, or the cluster '
                    'was never started'
                )
            groups = _groups(keys.values)
            if groups and settings.group is None and not self.facts.members:
                several = 's' if len(groups) > 1 else ''
                named = ', '.join(map(str, groups))
                self.facts.error = (
                    f'a Citus cluster with group{several} {named}: name one with --group, or as citus.group in the '
                    'configuration'
                )
        if settings.name and settings.name not in self.nodes and settings.api_url:
            self.facts.members.append(PatroniMember(settings.name, in_dcs=False, api_url=settings.api_url))

    def _read(self, values: Mapping[str, str]) -> None:
        config, facts = self._document(values.get('config')), self.facts
        postgresql = as_dict(config.get('postgresql'))
        facts.leader = self._redaction.text(values.get('leader', '')) or None
        facts.paused = bool(parse_bool(config.get('pause'))) if config else None
        facts.config = {name: config[name] for name in _CONFIG if config.get(name) is not None}
        if isinstance(postgresql.get('use_slots'), bool):
            facts.config['postgresql'] = {'use_slots': postgresql['use_slots']}
        standby = as_dict(config.get('standby_cluster'))
        if any(standby.get(name) for name in ('host', 'port', 'restore_command')):
            facts.config['standby_cluster'] = {name: standby[name] for name in _STANDBY_CLUSTER if standby.get(name)}
        status = self._document(values.get('status'))
        facts.published_slots = {
            name: position for name, position in as_dict(status.get('slots')).items() if isinstance(position, int)
        }
        facts.retained_slots = as_texts(status.get('retain_slots'))
        facts.synchronous = _synchronous(self._document(values.get('sync')))
        facts.switchover = _switchover(self._document(values.get('failover')))
        facts.initialized = bool(values.get('initialize'))
        facts.position = as_int(status.get('optime', values.get('optime/leader')))
        for key in sorted(values):
            if key.startswith('members/') and key.count('/') == 1:
                name = self._redaction.text(key[len('members/') :])
                facts.members.append(self._member(name, values[key]))

    def _document(self, text: str | None) -> dict[str, JSON]:
        """Read a value, an empty document for anything else than one."""
        try:
            return as_dict(self._redaction.json(json.loads(text or '')))
        except (ValueError, RecursionError):
            return {}

    def _member(self, name: str, value: str) -> PatroniMember:
        document = self._member_document(value)
        text = self._redaction.text(value) if document is None else json.dumps(document)
        try:
            node = Member.from_node(0, name, None, text)
        except Exception:  # anything may stand there
            node = Member(0, name, None, {})
        self.nodes[name] = node
        data, member = node.data, PatroniMember(name)
        member.role = self._role(name, data)
        streaming = data.get('replication_state') if member.role != 'leader' else None
        member.state = as_text(streaming) or as_text(data.get('state'))
        member.state_from = 'key' if member.state else None
        member.version, member.timeline = as_text(data.get('version')), as_int(data.get('timeline'))
        member.tags = as_dict(data.get('tags'))
        member.pending_restart = None if document is None else data.get('pending_restart') is True
        member.position, position = as_int(data.get('xlog_location')), self.facts.position
        if position is not None and name != self.facts.leader:
            member.lag = _behind(position, data.get('xlog_location'))
            member.receive_lag = _behind(position, data.get('receive_lsn'))
            member.replay_lag = _behind(position, data.get('replay_lsn'))
        member.api_url = self._redaction.url(as_text(data.get('api_url')) or '') or None
        member.postgres_address = _address(node)
        member.serves, member.compat, member.grpc = (None, None, None) if document is None else served_by(document)
        return member

    def _member_document(self, value: str) -> dict[str, JSON] | None:
        """Read the value of a member key, ``None`` for anything else than an object: a URL before Patroni 1.3."""
        try:
            document = self._redaction.json(json.loads(value))
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None

    def _role(self, name: str, data: Mapping[str, JSON]) -> str:
        facts = self.facts
        if name == facts.leader or facts.leader is None and data.get('role') in PRIMARY:
            return 'standby_leader' if 'standby_cluster' in facts.config else 'leader'
        mode, in_sync = facts.config.get('synchronous_mode'), facts.synchronous.standbys if facts.synchronous else []
        if name in in_sync and mode is not None and parse_bool(mode) is not False:
            return 'quorum_standby' if str(mode).lower() == 'quorum' else 'sync_standby'
        return 'replica'


def served_by(document: Mapping[str, JSON]) -> tuple[str | None, str | None, bool | None]:
    """Return what serves a member (``package``, ``patch`` or ``stock``), its release, and whether it may use gRPC.

    :param document: the value of its key. A mark in it that is none of ours, whoever wrote it, proves nothing: all is
                     ``None`` then.
    """
    if FIELD not in document:
        return 'stock', None, False
    mark = read_mark(document[FIELD])
    return ('patch' if mark.patch else 'package', mark.release, mark.grpc) if mark else (None, None, None)


def _behind(position: int, value: JSON) -> int | None:
    """Return how many bytes a position in a member key is behind; ``None`` if there is none."""
    at = as_int(value)
    return None if at is None else max(position - at, 0)


def _groups(names: Iterable[str]) -> list[int]:
    """Return the groups of a Citus cluster, each of which has keys below its number."""
    found = (re.match('([0-9]{1,9})/', name) for name in names)
    return sorted({int(match.group(1)) for match in found if match})


def _synchronous(sync: Mapping[str, JSON]) -> Synchronous:
    names = sync.get('sync_standby')
    standbys = [name.strip() for name in names.split(',') if name.strip()] if isinstance(names, str) else []
    return Synchronous(as_text(sync.get('leader')), standbys, as_int(sync.get('quorum')))


def _switchover(failover: Mapping[str, JSON]) -> Switchover | None:
    at = as_text(failover.get('scheduled_at'))
    return Switchover(at, as_text(failover.get('leader')), as_text(failover.get('member'))) if at else None


def _address(node: Member) -> str | None:
    try:
        arguments = node.conn_kwargs()
        host, port = arguments.get('host'), arguments.get('port')
    except (TypeError, ValueError, AttributeError):
        return None
    if not host:
        return None
    return f'[{host}]:{port}' if ':' in str(host) else f'{host}:{port}'

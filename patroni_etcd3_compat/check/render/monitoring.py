"""The formats that monitoring systems read: the one line of a Nagios plug-in, and the text of Prometheus."""

from __future__ import annotations

from ..facts import Etcd, Facts, Finding, Fleet, Limit, Patroni
from ..findings import exit_status
from ..fleet import name_of
from ..nagios import line
from ..units import number
from .fleet import with_places
from .text import STATUS, Style, clean, counts, etcd_label, one_line, silence, summary, taken

#: How many findings the line for Nagios names; the rest is counted.
NAMED = 5

#: Beginning of all names of metrics.
PREFIX = 'patroni_etcd3_'


def _performance(facts: Facts | Fleet) -> list[tuple[str, float | None, str]]:
    """Return what is measured: label, value, and unit with what follows it."""
    members = facts.etcd.endpoints
    data: list[tuple[str, float | None, str]] = [
        ('etcd_members', len(members), ';;;0'),
        ('etcd_answering', sum(member.answers for member in members), f';;;0;{len(members)}'),
    ]
    for member in members:
        label = etcd_label(facts.etcd, member)
        data += [(f'etcd {label} time', member.seconds, 's;;;0'), (f'etcd {label} size', member.db_size, 'B;;;0')]
    if isinstance(facts, Fleet):
        data.append(('patroni_clusters', len(facts.clusters), ';;;0'))
        data.append(('patroni_members', sum(len(patroni.members) for patroni in facts.clusters), ';;;0'))
    elif facts.patroni is not None:
        data.append(('patroni_members', len(facts.patroni.members), ';;;0'))
        for node in facts.patroni.members:
            data.append((f'{node.name} lag', node.lag, f'B;{_limits(facts.limits.lag)};0'))
            if node.postgres is not None:
                data.append((f'{node.name} pg_wal', node.postgres.wal_size, f'B;{_limits(facts.limits.wal)};0'))
                data += [(f'{node.name} slot {slot.name}', slot.retained, 'B;;;0') for slot in node.postgres.slots]
    return data


def _limits(limit: Limit) -> str:
    """Return a limit as performance data has it: warning and critical, empty where there is none."""
    return ';'.join('' if value is None else str(value) for value in (limit.warning, limit.critical))


def _label(text: str) -> str:
    """Return a text as a label: a bar or an equals sign would end it, a quotation mark is doubled."""
    return one_line(text).replace('|', '/').replace('=', ':').replace("'", "''")


def nagios(facts: Facts | Fleet, findings: list[Finding], style: Style) -> str:
    """Return one line: the status, the important findings by identifier and place, and performance data."""
    matter = [finding for finding in findings if finding.severity != 'info']
    named = [f'{finding.id} at {finding.where}' for finding in with_places(matter[:NAMED], True)]
    if len(matter) > NAMED:
        named.append(f'{len(matter) - NAMED} more')
    if matter:
        text = f'{summary(matter)}: {"; ".join(named)}'
    elif silence(facts):
        text = silence(facts)
    else:
        endpoints = facts.etcd.endpoints
        text = f'etcd: {sum(each.answers for each in endpoints)} of {number(len(endpoints), "URL")} answering'
        if isinstance(facts, Fleet):
            text += f', Patroni: {number(len(facts.clusters), "cluster")}'
        elif facts.patroni:
            text += f', Patroni: {number(len(facts.patroni.members), "member")}'
    performance = ' '.join(
        f"'{_label(label)}'={f'{value:.6f}' if isinstance(value, float) else value}{unit}"
        for label, value, unit in _performance(facts)
        if value is not None
    )
    return line(STATUS[exit_status(facts, findings)], clean(text), performance)


class Metrics:
    """Text of Prometheus' exposition format, put together metric by metric.

    :param labels: names and values of labels that every sample has, until others are set.
    """

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        self._help: dict[str, str] = {}
        self._samples: dict[str, dict[str, str]] = {}

    def add(self, name: str, text: str, value: float | None, **labels: str | None) -> None:
        """Add a sample.

        :param name: name of the metric, without :data:`PREFIX`.
        :param text: what it is.
        :param value: a number, a boolean or ``None``, for which there is no sample.
        :param labels: names and values of its labels. A second sample with the same ones replaces the first.
        """
        if value is not None:
            self._help[name] = text
            pairs = ','.join(
                f'{label}="{self._escape(text or "")}"' for label, text in {**self.labels, **labels}.items()
            )
            self._samples.setdefault(name, {})[pairs and '{' + pairs + '}'] = f'{float(value):.15g}'

    @staticmethod
    def _escape(text: str) -> str:
        return clean(text).replace('\\', '\\\\').replace('\n', '\\n').replace('"', '\\"')

    def __str__(self) -> str:
        lines = []
        for name, samples in self._samples.items():
            lines += [f'# HELP {PREFIX}{name} {self._help[name]}', f'# TYPE {PREFIX}{name} gauge']
            lines += [f'{PREFIX}{name}{labels} {value}' for labels, value in samples.items()]
        return ''.join(line + '\n' for line in lines)


def _etcd(metrics: Metrics, etcd: Etcd) -> None:
    for member in etcd.endpoints:
        # The URL alone: the name is unknown while the member is down, and a series must not become another one then.
        labels = {'url': member.url}
        metrics.add('etcd_up', 'whether the URL of an etcd member answers', member.answers, **labels)
        metrics.add(
            'etcd_info',
            'name and versions of an etcd member, version of the cluster as it sees it, gateway prefixes',
            1,
            member=member.name,
            version=member.version,
            cluster_version=member.cluster_version,
            prefixes=' '.join(member.prefixes),
            protocol=member.protocol,
            **labels,
        )
        metrics.add('etcd_gateway', 'whether the JSON gateway is on', member.gateway, **labels)
        metrics.add('etcd_answer_seconds', 'time until GET /version was answered', member.seconds, **labels)
        metrics.add('etcd_leader', 'whether the member is the leader in raft', member.leader, **labels)
        metrics.add('etcd_learner', 'whether the member is a learner', member.learner, **labels)
        metrics.add('etcd_raft_term', 'raft term', member.raft_term, **labels)
        metrics.add('etcd_raft_index', 'raft index', member.raft_index, **labels)
        metrics.add('etcd_db_size_bytes', 'size of the database', member.db_size, **labels)
        metrics.add('etcd_db_in_use_bytes', 'bytes of the database that are in use', member.db_size_in_use, **labels)
        quota = member.quota if member.quota is not None and member.quota > 0 else None
        metrics.add('etcd_quota_bytes', 'size of the database that raises alarm NOSPACE', quota, **labels)
        metrics.add('etcd_alarms', 'number of raised alarms', len(member.alarms) if member.answers else None, **labels)
        metrics.add('etcd_wal_fsync_p99_seconds', 'sync of the log, 99 of 100', member.fsync_p99, **labels)
        metrics.add('etcd_leader_changes', 'leaders seen since its start', member.leader_changes, **labels)
        metrics.add('etcd_auth', 'whether authentication is on', member.auth, **labels)


def _patroni(metrics: Metrics, patroni: Patroni) -> None:
    metrics.add(
        'patroni_has_leader', 'whether the leader key is there', None if patroni.error else patroni.leader is not None
    )
    metrics.add('patroni_paused', 'whether the cluster is paused', patroni.paused)
    for node in patroni.members:
        labels = {'member': node.name}
        metrics.add(
            'patroni_info',
            'role, state and versions of a Patroni member',
            1,
            role=node.role,
            state=node.state,
            version=node.version,
            postgres_version=node.postgres_version,
            **labels,
        )
        metrics.add('patroni_api_up', 'whether the REST API answers', node.error is None, **labels)
        metrics.add('patroni_timeline', 'timeline of PostgreSQL', node.timeline, **labels)
        metrics.add('patroni_position_bytes', 'position in the WAL', node.position, **labels)
        metrics.add('patroni_lag_bytes', 'how far it is behind the leader', node.lag, **labels)
        metrics.add('patroni_receive_lag_bytes', 'WAL that it has to receive yet', node.receive_lag, **labels)
        metrics.add('patroni_replay_lag_bytes', 'WAL that it has to replay yet', node.replay_lag, **labels)
        if node.postgres is None:
            continue
        metrics.add(
            'postgres_up', 'whether the check could connect to PostgreSQL', node.postgres.error is None, **labels
        )
        metrics.add('pg_wal_bytes', 'size of pg_wal', node.postgres.wal_size, **labels)
        for slot in node.postgres.slots:
            own = dict(labels, slot=slot.name, type=slot.type)
            metrics.add('slot_active', 'whether a replication slot is in use', slot.active, **own)
            metrics.add('slot_retained_bytes', 'WAL that a replication slot retains', slot.retained, **own)
            metrics.add(
                'slot_lost',
                'whether the WAL that a replication slot needs is gone',
                None if slot.wal_status is None else slot.wal_status == 'lost',
                **own,
            )


def _labels(patroni: Patroni | None) -> dict[str, str]:
    """Return the labels of a cluster.

    Several clusters may be checked on one host; without the scope their files would hold the same series. The groups of
    a Citus cluster have one scope.
    """
    labels = {'scope': patroni.scope if patroni else ''}
    return labels if patroni is None or patroni.group is None else {**labels, 'group': str(patroni.group)}


def prometheus(facts: Facts | Fleet, findings: list[Finding], style: Style) -> str:
    """Return the text that node_exporter's textfile collector reads."""
    clusters = facts.clusters if isinstance(facts, Fleet) else [facts.patroni] if facts.patroni else []
    whole = _labels(None if isinstance(facts, Fleet) else facts.patroni)
    metrics = Metrics(whole)
    metrics.add(
        'check_status', 'exit status of the check: 0 ok, 1 warning, 2 critical, 3 unknown', exit_status(facts, findings)
    )
    metrics.add('check_time_seconds', 'time of the check in seconds since 1970', taken(facts).timestamp())
    metrics.add('check_duration_seconds', 'duration of the check', facts.seconds)
    for severity, count in counts(findings).items():
        metrics.add('check_findings', 'number of findings', count, severity=severity)
    by_name = {name_of(patroni): patroni for patroni in clusters}
    for finding in findings:
        metrics.labels = _labels(by_name[finding.cluster]) if finding.cluster else whole
        metrics.add(
            'check_finding', '1 for each finding', 1, id=finding.id, severity=finding.severity, where=finding.where
        )
    metrics.labels = whole
    _etcd(metrics, facts.etcd)
    for patroni in clusters:
        metrics.labels = _labels(patroni)
        _patroni(metrics, patroni)
    return str(metrics)

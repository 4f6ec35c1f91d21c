"""The part of etcd's API that Patroni and ``check`` use, as data: field numbers and names of methods.

Facts from etcd's ``rpc.proto``, ``kv.proto`` (3.2 to 3.7; a number never changes its meaning, releases only add some).
"""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """A field of a message."""

    #: name in JSON
    name: str
    #: number on the wire
    number: int
    #: ``int64``, ``uint64``, ``bool``, ``string``, ``bytes``, the name of an enum or of a message
    kind: str
    #: whether it is a list
    many: bool


class Method(NamedTuple):
    """A method."""

    #: path of the HTTP/2 request
    path: str
    #: name of the message that is sent, and of the one that comes back
    request: str
    response: str
    #: the gateway wraps each message of a stream into ``{"result": ...}``
    stream: bool = False


#: The names of enum values by number.
ENUMS: dict[str, dict[int, str]] = {
    'EventType': dict(enumerate(('PUT', 'DELETE'))),
    'SortOrder': dict(enumerate(('NONE', 'ASCEND', 'DESCEND'))),
    'SortTarget': dict(enumerate(('KEY', 'VERSION', 'CREATE', 'MOD', 'VALUE'))),
    'CompareResult': dict(enumerate(('EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL'))),
    'CompareTarget': dict(enumerate(('VERSION', 'CREATE', 'MOD', 'VALUE', 'LEASE'))),
    'FilterType': dict(enumerate(('NOPUT', 'NODELETE'))),
    'AlarmType': dict(enumerate(('NONE', 'NOSPACE', 'CORRUPT'))),
    'AlarmAction': dict(enumerate(('GET', 'ACTIVATE', 'DEACTIVATE'))),
}

#: Each field as ``number name kind``, a list with ``*`` after its kind.
_TEXT: dict[str, str] = {
    'ResponseHeader': '1 cluster_id uint64, 2 member_id uint64, 3 revision int64, 4 raft_term uint64',
    'KeyValue': '1 key bytes, 2 create_revision int64, 3 mod_revision int64, 4 version int64, 5 value bytes, '
    '6 lease int64',
    'Event': '1 type EventType, 2 kv KeyValue, 3 prev_kv KeyValue',
    'RangeRequest': '1 key bytes, 2 range_end bytes, 3 limit int64, 4 revision int64, 5 sort_order SortOrder, '
    '6 sort_target SortTarget, 7 serializable bool, 8 keys_only bool, 9 count_only bool, 10 min_mod_revision int64, '
    '11 max_mod_revision int64, 12 min_create_revision int64, 13 max_create_revision int64',
    'RangeResponse': '1 header ResponseHeader, 2 kvs KeyValue*, 3 more bool, 4 count int64',
    'PutRequest': '1 key bytes, 2 value bytes, 3 lease int64, 4 prev_kv bool, 5 ignore_value bool, 6 ignore_lease bool',
    'PutResponse': '1 header ResponseHeader, 2 prev_kv KeyValue',
    'DeleteRangeRequest': '1 key bytes, 2 range_end bytes, 3 prev_kv bool',
    'DeleteRangeResponse': '1 header ResponseHeader, 2 deleted int64, 3 prev_kvs KeyValue*',
    'RequestOp': '1 request_range RangeRequest, 2 request_put PutRequest, 3 request_delete_range DeleteRangeRequest',
    'ResponseOp': '1 response_range RangeResponse, 2 response_put PutResponse, '
    '3 response_delete_range DeleteRangeResponse',
    'Compare': '1 result CompareResult, 2 target CompareTarget, 3 key bytes, 4 version int64, 5 create_revision int64, '
    '6 mod_revision int64, 7 value bytes, 8 lease int64, 64 range_end bytes',
    'TxnRequest': '1 compare Compare*, 2 success RequestOp*, 3 failure RequestOp*',
    'TxnResponse': '1 header ResponseHeader, 2 succeeded bool, 3 responses ResponseOp*',
    'LeaseGrantRequest': '1 TTL int64, 2 ID int64',
    'LeaseGrantResponse': '1 header ResponseHeader, 2 ID int64, 3 TTL int64, 4 error string',
    'LeaseRevokeRequest': '1 ID int64',
    'LeaseRevokeResponse': '1 header ResponseHeader',
    'LeaseKeepAliveRequest': '1 ID int64',
    'LeaseKeepAliveResponse': '1 header ResponseHeader, 2 ID int64, 3 TTL int64',
    'Member': '1 ID uint64, 2 name string, 3 peerURLs string*, 4 clientURLs string*, 5 isLearner bool',
    'MemberListRequest': '1 linearizable bool',
    'MemberListResponse': '1 header ResponseHeader, 2 members Member*',
    'AuthenticateRequest': '1 name string, 2 password string',
    'AuthenticateResponse': '1 header ResponseHeader, 2 token string',
    'AuthUserGetRequest': '1 name string',
    'AuthUserGetResponse': '1 header ResponseHeader, 2 roles string*',
    'AlarmMember': '1 memberID uint64, 2 alarm AlarmType',
    'AlarmRequest': '1 action AlarmAction, 2 memberID uint64, 3 alarm AlarmType',
    'AlarmResponse': '1 header ResponseHeader, 2 alarms AlarmMember*',
    'StatusRequest': '',
    'DowngradeInfo': '1 enabled bool, 2 targetVersion string',
    'StatusResponse': '1 header ResponseHeader, 2 version string, 3 dbSize int64, 4 leader uint64, 5 raftIndex uint64, '
    '6 raftTerm uint64, 7 raftAppliedIndex uint64, 8 errors string*, 9 dbSizeInUse int64, 10 isLearner bool, '
    '11 storageVersion string, 12 dbSizeQuota int64, 13 downgradeInfo DowngradeInfo',
    'WatchCreateRequest': '1 key bytes, 2 range_end bytes, 3 start_revision int64, 4 progress_notify bool, '
    '5 filters FilterType*, 6 prev_kv bool, 7 watch_id int64, 8 fragment bool',
    'WatchRequest': '1 create_request WatchCreateRequest',
    'WatchResponse': '1 header ResponseHeader, 2 watch_id int64, 3 created bool, 4 canceled bool, '
    '5 compact_revision int64, 6 cancel_reason string, 7 fragment bool, 11 events Event*',
}


def _fields(text: str) -> list[Field]:
    words = [part.split() for part in text.split(',') if part]
    return [Field(name, int(number), kind.rstrip('*'), kind.endswith('*')) for number, name, kind in words]


#: The fields of each message by name. Transactions have no field for a transaction inside (it kills members
#: before 3.3), so one cannot even be expressed here.
BY_NAME: dict[str, dict[str, Field]] = {
    message: {field.name: field for field in _fields(text)} for message, text in _TEXT.items()
}

#: The same by number.
BY_NUMBER: dict[str, dict[int, Field]] = {
    message: {field.number: field for field in fields.values()} for message, fields in BY_NAME.items()
}


def _method(service: str, name: str, message: str = '', stream: bool = False) -> Method:
    message = message or name
    return Method(f'/etcdserverpb.{service}/{name}', message + 'Request', message + 'Response', stream)


#: The methods by their path at the gateway, below the prefix.
METHODS: dict[str, Method] = {
    '/kv/range': _method('KV', 'Range'),
    '/kv/put': _method('KV', 'Put'),
    '/kv/deleterange': _method('KV', 'DeleteRange'),
    '/kv/txn': _method('KV', 'Txn'),
    '/lease/grant': _method('Lease', 'LeaseGrant'),
    '/lease/revoke': _method('Lease', 'LeaseRevoke'),
    '/kv/lease/revoke': _method('Lease', 'LeaseRevoke'),
    '/lease/keepalive': _method('Lease', 'LeaseKeepAlive', stream=True),
    '/cluster/member/list': _method('Cluster', 'MemberList'),
    '/auth/authenticate': _method('Auth', 'Authenticate'),
    '/auth/user/get': _method('Auth', 'UserGet', 'AuthUserGet'),
    '/maintenance/alarm': _method('Maintenance', 'Alarm'),
    '/maintenance/status': _method('Maintenance', 'Status'),
    '/watch': _method('Watch', 'Watch', stream=True),
}

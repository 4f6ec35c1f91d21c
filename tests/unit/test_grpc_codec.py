"""Messages between JSON and protobuf: the codec beside protobuf's own runtime, and bytes that are no message."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from patroni_etcd3_compat.grpc.api import BY_NAME, ENUMS, METHODS
from patroni_etcd3_compat.grpc.codec import CodecError, decode, encode
from tests.examples import examples

MESSAGES = sorted(BY_NAME)
_TYPES = descriptor_pb2.FieldDescriptorProto
_SCALARS = {kind: getattr(_TYPES, f'TYPE_{kind.upper()}') for kind in ('int64', 'uint64', 'bool', 'string', 'bytes')}


def _runtime() -> dict[str, Any]:
    """Return the classes of protobuf's own runtime for the messages, by name."""
    file = descriptor_pb2.FileDescriptorProto(name='tables.proto', package='tables', syntax='proto3')
    for kind, names in ENUMS.items():  # in a message each, since names are repeated
        enum = file.message_type.add(name='In' + kind).enum_type.add(name=kind)
        for number, name in names.items():
            enum.value.add(name=name, number=number)
    for message, fields in BY_NAME.items():
        described = file.message_type.add(name=message)
        for field in fields.values():
            new = described.field.add(name=field.name, number=field.number)
            new.label = _TYPES.LABEL_REPEATED if field.many else _TYPES.LABEL_OPTIONAL
            if field.kind in _SCALARS:
                new.type = _SCALARS[field.kind]
            else:
                new.type = _TYPES.TYPE_ENUM if field.kind in ENUMS else _TYPES.TYPE_MESSAGE
                new.type_name = (
                    f'.tables.In{field.kind}.{field.kind}' if field.kind in ENUMS else f'.tables.{field.kind}'
                )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file) if not hasattr(pool, 'AddSerializedFile') else pool.AddSerializedFile(file.SerializeToString())
    if hasattr(message_factory, 'GetMessageClass'):
        make = message_factory.GetMessageClass
    else:  # before 4.22
        make = message_factory.MessageFactory(pool).GetPrototype
    return {message: make(pool.FindMessageTypeByName(f'tables.{message}')) for message in BY_NAME}


RUNTIME = _runtime()


def written(message: str, document: Any) -> bytes:
    """Return the bytes that protobuf's runtime writes for a JSON object."""
    return bytes(json_format.ParseDict(document, RUNTIME[message]()).SerializeToString())


def read(message: str, data: bytes) -> Any:
    """Return the JSON object that protobuf's runtime reads from bytes."""
    return json_format.MessageToDict(RUNTIME[message].FromString(data), preserving_proto_field_name=True)


_VALUES: dict[str, st.SearchStrategy[Any]] = {
    'int64': st.integers(-(1 << 63), (1 << 63) - 1).flatmap(lambda n: st.sampled_from([n, str(n)])),
    'uint64': st.integers(0, (1 << 64) - 1).flatmap(lambda n: st.sampled_from([n, str(n)])),
    'bool': st.booleans(),
    'string': st.text(st.characters(exclude_categories=['Cs']), max_size=200),
    'bytes': st.binary(max_size=200).map(lambda data: base64.b64encode(data).decode()),
    **{kind: st.sampled_from([*names.values(), *names]) for kind, names in ENUMS.items()},
}


def documents(message: str) -> st.SearchStrategy[dict[str, Any]]:
    """Draw JSON objects that fit a message."""
    optional = {}
    for field in BY_NAME[message].values():
        one = _VALUES[field.kind] if field.kind in _VALUES else documents(field.kind)
        optional[field.name] = st.lists(one, max_size=3) if field.many else one
    return st.fixed_dictionaries({}, optional=optional)


ANY = st.sampled_from(MESSAGES).flatmap(lambda message: st.tuples(st.just(message), documents(message)))


def thorough(number: int) -> settings:
    """Return the settings of a test: how many examples it takes."""
    return settings(max_examples=examples(number), deadline=None, suppress_health_check=list(HealthCheck))


@thorough(600)
@given(ANY)
def test_same_as_the_runtime(drawn: Any) -> None:
    """What the codec writes the runtime reads, and the other way round, with the same JSON."""
    message, document = drawn
    there = written(message, document)
    wanted = read(message, there)
    assert read(message, encode(message, document)) == wanted
    assert decode(message, there) == wanted
    assert decode(message, encode(message, wanted)) == wanted


#: What Patroni 3.0 to 4.1 sends.
PATRONI: list[tuple[str, Any]] = [
    ('/kv/range', {'key': 'L3NlcnZpY2Uv', 'range_end': 'L3NlcnZpY2Uw', 'serializable': True}),
    ('/kv/range', {'key': 'L3NlcnZpY2Uv', 'serializable': False}),
    ('/kv/put', {'key': 'YQ==', 'value': 'Yg=='}),
    ('/kv/put', {'key': 'YQ==', 'value': 'Yg==', 'lease': '7587862094930331402'}),
    ('/kv/deleterange', {'key': 'YQ==', 'range_end': 'Yg=='}),
    ('/lease/grant', {'TTL': 30}),
    ('/lease/keepalive', {'ID': '7587862094930331402'}),
    ('/lease/revoke', {'ID': '7587862094930331402'}),
    ('/cluster/member/list', {}),
    ('/auth/authenticate', {'name': 'root', 'password': 'pässword "\\'}),
    (
        '/kv/txn',
        {
            'compare': [{'key': 'YQ==', 'target': 'CREATE', 'create_revision': '0'}],
            'success': [{'request_put': {'key': 'YQ==', 'value': 'Yg==', 'lease': '7'}}],
        },
    ),
    (
        '/kv/txn',
        {
            'compare': [{'key': 'YQ==', 'target': 'VALUE', 'value': 'Yg=='}],
            'success': [{'request_put': {'key': 'YQ==', 'value': 'Yg==', 'lease': '7'}}],
            'failure': [{'request_delete_range': {'key': 'YQ=='}}],
        },
    ),
    (
        '/kv/txn',
        {
            'compare': [{'key': 'YQ==', 'target': 'MOD', 'mod_revision': '9223372036854775807'}],
            'success': [{'request_delete_range': {'key': 'YQ=='}}],
        },
    ),
    ('/watch', {'create_request': {'key': 'YQ==', 'range_end': 'Yg==', 'start_revision': '8', 'filters': []}}),
]


@pytest.mark.parametrize('rpc, document', PATRONI)
def test_requests_of_patroni(rpc: str, document: Any) -> None:
    """The runtime reads from the requests of Patroni what it would have written itself."""
    request = METHODS[rpc].request
    assert RUNTIME[request].FromString(encode(request, json.loads(json.dumps(document)))) == json_format.ParseDict(
        document, RUNTIME[request]()
    )


@pytest.mark.parametrize(
    'message, document',
    [
        ('RangeRequest', []),
        ('RangeRequest', None),
        ('RangeRequest', {'nonsense': 1}),
        ('RangeRequest', {'key': 5}),
        ('RangeRequest', {'key': 'no base64!'}),
        ('RangeRequest', {'key': 'YQ'}),
        ('RangeRequest', {'key': 'é'}),
        ('RangeRequest', {'limit': 1.5}),
        ('RangeRequest', {'limit': True}),
        ('RangeRequest', {'limit': '1_0'}),
        ('RangeRequest', {'limit': ' 1'}),
        ('RangeRequest', {'limit': '٣'}),
        ('RangeRequest', {'limit': ''}),
        ('RangeRequest', {'limit': '9' * 5000}),
        ('RangeRequest', {'limit': 1 << 63}),
        ('RangeRequest', {'limit': -(1 << 63) - 1}),
        ('Member', {'ID': -1}),
        ('Member', {'ID': 1 << 64}),
        ('Member', {'ID': {}}),
        ('RangeRequest', {'serializable': 'yes'}),
        ('RangeRequest', {'serializable': 2}),
        ('RangeRequest', {'serializable': 1}),
        ('RangeRequest', {'sort_order': 'UP'}),
        ('RangeRequest', {'sort_order': 7}),
        ('RangeRequest', {'sort_order': []}),
        ('RangeRequest', {'sort_order': True}),
        ('AuthenticateRequest', {'name': 7}),
        ('AuthenticateRequest', {'name': '\ud800'}),
        ('TxnRequest', {'compare': 'x'}),
        ('TxnRequest', {'compare': [None]}),
        ('TxnRequest', {'success': [{'request_txn': {}}]}),
        ('TxnRequest', {'success': [{'request_put': []}]}),
        ('WatchRequest', {'create_request': {'filters': [{}]}}),
    ],
)
def test_what_does_not_fit_is_not_sent(message: str, document: Any) -> None:
    """JSON that the gateway would refuse is refused."""
    with pytest.raises(CodecError):
        encode(message, document)


def test_null_is_left_out() -> None:
    """JSON's null means that a field is not set, as at the gateway."""
    assert encode('RangeRequest', {'key': None, 'limit': None, 'range_end': 'YQ=='}) == b'\x12\x01a'
    assert encode('TxnRequest', {'compare': None}) == b''


def test_a_password_is_not_in_the_error() -> None:
    """The text of an error names the field, and never shows what was in a login."""
    for document in ({'name': 'root', 'password': ['se3ret']}, {'password': 'se3ret\ud800'}, {'password': b'se3ret'}):
        with pytest.raises(CodecError) as e:
            encode('AuthenticateRequest', document)
        assert 'se3ret' not in str(e.value) and 'password' in str(e.value)


def readable(message: str, data: bytes) -> Any:
    """Return what the codec makes of bytes: a JSON object that fits, or ``None``."""
    try:
        document = decode(message, data)
    except CodecError:
        return None
    assert isinstance(json.loads(json.dumps(document)), dict)
    return document


@thorough(1500)
@given(st.sampled_from(MESSAGES), st.binary(max_size=120))
@example('RangeResponse', b'\x0a' * 1000)
@example('RangeResponse', b'\xff' * 1000)
@example('RangeResponse', b'\x12' + b'\xff' * 9 + b'\x01')
@example('RangeResponse', b'\x12' + b'\xff' * 8 + b'\x7f' + b'x' * 10)
@example('RangeResponse', b'\x0b\x0c')
@example('RangeResponse', b'\x00\x00')
def test_any_bytes(message: str, data: bytes) -> None:
    """Any bytes are a JSON object or a :exc:`CodecError`, never anything else, and only what the runtime reads too."""
    document = readable(message, data)
    if document is not None:
        RUNTIME[message].FromString(data)


@st.composite
def garbled(draw: Any) -> tuple[str, bytes]:
    """Draw a message of which some bytes are missing, added or changed."""
    message, document = draw(ANY)
    data = bytearray(encode(message, document))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        how = draw(st.sampled_from(['cut', 'change', 'add', 'drop']))
        if how == 'cut':
            del data[at:]
        elif how == 'add':
            data[at:at] = draw(st.binary(min_size=1, max_size=4))
        elif how == 'drop':
            del data[at : at + 1]
        elif at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
    return message, bytes(data)


@thorough(800)
@given(garbled())
def test_garbled_messages(drawn: tuple[str, bytes]) -> None:
    """A message that was cut or garbled is an error, or the JSON that the runtime reads from it."""
    message, data = drawn
    document = readable(message, data)
    if document is not None and not twice(message, data):
        assert document == read(message, data)


def twice(message: str, data: bytes) -> bool:
    """Return whether a message has a single field in it twice, or more than has to be there.

    The runtime merges messages that come twice, which etcd never sends.
    """
    return len(written(message, read(message, data))) < len(data)


def test_every_cut() -> None:
    """A range with keys that is cut anywhere is an error, or ends exactly behind a field."""
    kv = {'key': 'YWJj', 'value': 'eHl6', 'mod_revision': '300', 'lease': '-5'}
    data = encode('RangeResponse', {'header': {'revision': '5'}, 'kvs': [kv, kv], 'count': '2'})
    whole = [end for end in range(len(data)) if readable('RangeResponse', data[:end]) is not None]
    assert len(whole) == 4  # nothing, the header, and each key; before the count


def test_unknown_fields_are_skipped() -> None:
    """Fields that a newer release adds do no harm, whatever their type."""
    for added in (b'\xf8\x06\x07', b'\xf9\x06' + b'x' * 8, b'\xfa\x06\x03abc', b'\xfd\x06' + b'x' * 4):
        data = b'\x08\x07' + added + b'\x10\x05'
        assert decode('LeaseGrantRequest', data) == {'TTL': '7', 'ID': '5'} == read('LeaseGrantRequest', data)


def test_unknown_enums_are_numbers() -> None:
    """A value that a newer release adds is shown as its number, as at the gateway."""
    for number, bytes_ in (
        (7, b'\x07'),
        (-1, b'\xff' * 9 + b'\x01'),
        (-(1 << 31), b'\x80' * 4 + b'\xf8' + b'\xff' * 4 + b'\x01'),
    ):
        data = b'\x08' + bytes_
        assert decode('Event', data) == {'type': number} == read('Event', data)


def test_packed_or_not() -> None:
    """A list of enums is read in both ways of writing it, also mixed."""
    for data in (b'\x28\x00\x28\x01', b'\x2a\x02\x00\x01', b'\x2a\x01\x00\x28\x01', b'\x2a\x00\x28\x00\x2a\x01\x01'):
        assert decode('WatchCreateRequest', data) == {'filters': ['NOPUT', 'NODELETE']}
        assert read('WatchCreateRequest', data) == {'filters': ['NOPUT', 'NODELETE']}
    with pytest.raises(CodecError):
        decode('WatchCreateRequest', b'\x2a\x02\x00\x80')
    with pytest.raises(CodecError):  # a number of the list goes past its end
        decode('WatchCreateRequest', b'\x2a\x01\x80\x01')


def test_deep_nesting() -> None:
    """No message of the tables can be nested without end, so neither can what is read or written."""

    def depth(message: str, above: tuple[str, ...] = ()) -> int:
        assert message not in above
        inner = [field.kind for field in BY_NAME[message].values() if field.kind in BY_NAME]
        return 1 + max((depth(kind, (*above, message)) for kind in inner), default=0)

    assert max(map(depth, MESSAGES)) == 4
    data = b''
    for _ in range(2000):  # as an unknown field it is skipped in one step
        data = b'\x7a' + bytes(_length(len(data))) + data
    assert decode('TxnResponse', data) == {}


def _length(number: int) -> list[int]:
    return [number] if number < 128 else [number & 127 | 128, *_length(number >> 7)]


def test_the_last_value_counts() -> None:
    """A single field that comes twice has its last value, also if that is the default."""
    assert decode('LeaseGrantRequest', b'\x08\x07\x08\x05') == {'TTL': '5'}
    assert decode('LeaseGrantRequest', b'\x08\x07\x08\x00') == {}

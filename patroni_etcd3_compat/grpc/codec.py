"""Messages between JSON, as etcd's gateway speaks it, and protobuf. Pure functions.

As at the gateway, 64-bit numbers are text in JSON, bytes are base64, enums go by name, and what has its default value
is left out. A codec of our own and not protobuf's runtime: it is as fast for single keys, a fifth slower for a list of
ten, and the runtime requires generated code that fits its version (3.21 in Debian 12, 7 today).
"""

from __future__ import annotations

import base64
import re
from typing import Any

from .api import BY_NAME, BY_NUMBER, ENUMS, Field

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MASK = (1 << 64) - 1
_LARGEST_FIELD = (1 << 29) - 1

#: How many fields a message may have, those of messages inside included: a key has seven, so that is a list of 25,000.
#: Without a limit, two bytes of a hostile answer would cost as much time and memory as a key.
MOST_FIELDS = 200_000


class CodecError(ValueError):
    """The message cannot be read or written."""


def encode(message: str, document: object) -> bytes:
    """Write a message.

    :param message: its name in :mod:`.api`.
    :param document: the JSON object that the gateway would be sent.

    :raises:
        :exc:`CodecError`: if the object does not fit the message.
    """
    if not isinstance(document, dict):
        raise CodecError(f'{message} is not an object')
    out = bytearray()
    fields = BY_NAME[message]
    for name, value in document.items():
        field = fields.get(name)
        if not field:
            raise CodecError(f'{message} has no field {name}')
        for item in value if field.many and isinstance(value, list) else [] if value is None else [value]:
            try:
                _write(out, field, item)
            except (TypeError, ValueError) as e:
                raise CodecError(f'{message}.{name}: {e}') from None
    return bytes(out)


def _write(out: bytearray, field: Field, value: Any) -> None:
    kind = field.kind
    if kind in _NUMBERS or kind in ENUMS:
        out += _varint(field.number << 3 | _VARINT)
        out += _varint(_number(kind, value))
        return
    if kind == 'bytes':
        data = base64.b64decode(value, validate=True)
    elif kind == 'string':
        data = str.encode(value, 'utf-8')
    else:
        data = encode(kind, value)
    out += _varint(field.number << 3 | _BYTES)
    out += _varint(len(data))
    out += data


#: The smallest and the largest value of each kind of number.
_NUMBERS = {'int64': (-(1 << 63), (1 << 63) - 1), 'uint64': (0, _MASK), 'bool': (0, 1)}
_DIGITS = re.compile(r'-?[0-9]{1,20}\Z')  # int() takes more: blanks, underscores, other scripts
_ENUM_NUMBERS = {kind: {name: number for number, name in names.items()} for kind, names in ENUMS.items()}


def _number(kind: str, value: Any) -> int:
    if kind in ENUMS:
        known = _ENUM_NUMBERS[kind].get(value) if isinstance(value, str) else value
        if type(known) is not int or known not in ENUMS[kind]:
            raise ValueError(f'{value!r} is not one of {", ".join(ENUMS[kind].values())}')
        return known
    if type(value) not in ((bool,) if kind == 'bool' else (int, str)):  # in Python a bool is an int
        raise TypeError(f'{type(value).__name__} is no {kind}')
    if isinstance(value, str) and not _DIGITS.match(value):
        raise ValueError(f'text is no {kind}')
    number = int(value)
    low, high = _NUMBERS[kind]
    if not low <= number <= high:
        raise ValueError(f'{number} does not fit')
    return number & _MASK


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode(message: str, data: bytes) -> dict[str, Any]:
    """Read a message.

    :param message: its name in :mod:`.api`.
    :param data: the bytes; fields that are not in :mod:`.api` are skipped.

    :returns: the JSON object that the gateway would have sent.

    :raises:
        :exc:`CodecError`: if the bytes are no such message.
    """
    return _read(message, data, 0, len(data), [MOST_FIELDS])


def _read(message: str, data: bytes, at: int, end: int, left: list[int]) -> dict[str, Any]:
    """Read a part of the bytes.

    :param left: how many fields there may be yet.
    """
    fields = BY_NUMBER[message]
    ret: dict[str, Any] = {}
    while at < end:
        left[0] -= 1
        if left[0] < 0:
            raise CodecError(f'there are more than {MOST_FIELDS} fields')
        tag, at = _read_varint(data, at, end)
        wire = tag & 7
        field = fields.get(tag >> 3)
        if not 0 < tag >> 3 <= _LARGEST_FIELD:
            raise CodecError(f'{message} has a field with number {tag >> 3}')
        if wire == _VARINT:
            number, at = _read_varint(data, at, end)
            if field:
                _put(ret, field, _scalar(message, field, number))
            continue
        if wire == _BYTES:
            size, at = _read_varint(data, at, end)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise CodecError(f'{message} has a field of unknown type {wire}')
        if at + size > end:
            raise CodecError(f'{message} is cut off')
        if field:
            if wire != _BYTES or field.kind in _NUMBERS or field.kind in ENUMS and not field.many:
                raise CodecError(f'{message}.{field.name} has type {wire}')
            _put(ret, field, _piece(message, field, data, at, at + size, left))
        at += size
    return ret


def _put(ret: dict[str, Any], field: Field, value: Any) -> None:
    name = field.name
    if field.many:
        ret.setdefault(name, []).extend(value if isinstance(value, list) else [value])
    elif value == _DEFAULTS.get(field.kind):
        ret.pop(name, None)
    else:
        ret[name] = value


#: The value of each kind that the gateway leaves out.
_DEFAULTS = {
    'int64': '0',
    'uint64': '0',
    'bool': False,
    'string': '',
    'bytes': '',
    **{kind: names[0] for kind, names in ENUMS.items()},
}


def _scalar(message: str, field: Field, number: int) -> Any:
    kind = field.kind
    if kind == 'int64':
        return str(number - (1 << 64) if number >> 63 else number)
    if kind == 'uint64':
        return str(number)
    if kind == 'bool':
        return bool(number)
    if kind in ENUMS:
        number &= 0xFFFFFFFF  # an enum has 32 bits with a sign
        return ENUMS[kind].get(number, number - (1 << 32) if number >> 31 else number)
    raise CodecError(f'{message}.{field.name} is a number')


def _piece(message: str, field: Field, data: bytes, at: int, end: int, left: list[int]) -> Any:
    kind = field.kind
    if kind == 'bytes':
        return base64.b64encode(data[at:end]).decode('ascii')
    if kind == 'string':
        try:
            return data[at:end].decode('utf-8')
        except UnicodeDecodeError as e:
            raise CodecError(f'{message}.{field.name}: {e}') from None
    if kind in ENUMS:  # packed
        numbers = []
        while at < end:
            number, at = _read_varint(data, at, end)
            numbers.append(_scalar(message, field, number))
        return numbers
    return _read(kind, data, at, end, left)  # no message of the API contains itself, so this ends


def _read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    number = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & _MASK, at
        shift += 7
        if shift > 63:
            raise CodecError('a number is too long')
    raise CodecError('a number is cut off')

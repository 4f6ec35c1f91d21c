"""Output for programs: JSON by its schema, YAML, tab-separated values."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import sys
import types
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import jsonschema
import pytest
import yaml

from patroni_etcd3_compat.check import facts as model
from patroni_etcd3_compat.check.facts import SCHEMA, Etcd, Facts
from patroni_etcd3_compat.check.render import render
from tests.unit.render_samples import facts, findings

SCHEMA_FILE = Path(__file__).resolve().parent.parent.parent / 'docs' / 'check.schema.json'


@pytest.fixture(scope='module')
def schema() -> dict[str, Any]:
    """The documented schema."""
    loaded: dict[str, Any] = json.loads(SCHEMA_FILE.read_text())
    return loaded


@pytest.mark.parametrize('some', [facts(), Facts('2026-01-02T03:04:05+00:00', 0.1, Etcd())], ids=['all', 'nothing'])
def test_json_is_as_documented(schema: dict[str, Any], some: Facts) -> None:
    """The output is valid by the schema."""
    document = json.loads(render('json', some, findings()))
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(document)
    assert document['schema'] == SCHEMA
    assert document['findings'] == [dataclasses.asdict(finding) for finding in findings()]


def kinds(annotation: Any) -> set[str]:
    """Return the JSON types that a field may have."""
    origin = get_origin(annotation)
    if origin is Union or origin is getattr(types, 'UnionType', Union):
        return set().union(*map(kinds, get_args(annotation)))
    if dataclasses.is_dataclass(annotation):
        return {str(getattr(annotation, '__name__', annotation))}
    return {
        {
            list: 'array',
            dict: 'object',
            str: 'string',
            int: 'integer',
            float: 'number',
            bool: 'boolean',
            type(None): 'null',
        }[origin or annotation]
    }


def documented_kinds(part: dict[str, Any]) -> set[str]:
    """Return the JSON types that the schema allows there."""
    if '$ref' in part:
        return {part['$ref'].rpartition('/')[2]}
    nested: list[dict[str, Any]] = part.get('anyOf', []) + part.get('allOf', [])
    names = part.get('type', [])
    return set([names] if isinstance(names, str) else names).union(*map(documented_kinds, nested))


@pytest.mark.skipif(sys.version_info < (3, 10), reason='annotations cannot be evaluated')
def test_schema_knows_every_field(schema: dict[str, Any]) -> None:
    """The schema describes each field of the facts with its type, and nothing else."""
    own = {'schema', 'exit_status', 'findings'}
    definitions = dict(
        schema['definitions'],
        Facts=dict(
            schema,
            properties={name: part for name, part in schema['properties'].items() if name not in own},
            required=[name for name in schema['required'] if name not in own],
        ),
    )
    classes = {name: cls for name, cls in vars(model).items() if dataclasses.is_dataclass(cls)}
    del classes['Fleet']  # of check --all, which has a schema of its own
    assert set(definitions) == set(classes)
    for name, cls in classes.items():
        hints = get_type_hints(cls)
        assert {field: documented_kinds(part) for field, part in definitions[name]['properties'].items()} == {
            field: kinds(hint) for field, hint in hints.items()
        }, name
        assert set(definitions[name]['required']) == set(hints), name


def test_schema_notices(schema: dict[str, Any]) -> None:
    """Output that does not match the documentation is not valid."""
    document = json.loads(render('json', facts(), findings()))
    document['findings'][0]['severity'] = 'bad'
    document['etcd']['endpoints'][0]['raft_term'] = 'three'
    del document['etcd']['endpoints'][1]['url']
    errors = {tuple(error.absolute_path) for error in jsonschema.Draft7Validator(schema).iter_errors(document)}
    expected: set[tuple[str | int, ...]] = {
        ('findings', 0, 'severity'),
        ('etcd', 'endpoints', 0, 'raft_term'),
        ('etcd', 'endpoints', 1),
    }
    assert errors == expected


def test_yaml_is_the_same() -> None:
    """YAML has the same content as JSON, under both names that patronictl has for it."""
    document = json.loads(render('json', facts(), findings()))
    assert yaml.safe_load(render('yaml', facts(), findings())) == document
    assert yaml.safe_load(render('yml', facts(), findings())) == document


def test_odd_values_from_the_dcs() -> None:
    """Values that are not strict JSON, or not valid text, are not passed through."""
    odd = facts()
    assert odd.patroni is not None
    odd.patroni.members[0].tags = {'a': float('nan'), 'b': {1: {'x': (1, 2)}}, 'c': b'x', '\ud800': '\ud800'}
    document = json.loads(render('json', odd, []), parse_constant=lambda name: pytest.fail(name))
    assert document['patroni']['members'][0]['tags'] == {
        'a': None,
        'b': {'1': {'x': [1, 2]}},
        'c': "b'x'",
        '\ud800': '\ud800',
    }
    assert yaml.safe_load(render('yaml', odd, []).encode('utf-8', 'replace').decode())


def test_tsv() -> None:
    """Each finding is one line under a header, and no text can break the line."""
    some = findings()
    some[0].seen = 'one\ttwo\r\nthree'
    rows = list(csv.reader(io.StringIO(render('tsv', facts(), some)), delimiter='\t', quoting=csv.QUOTE_NONE))
    assert rows[0] == ['severity', 'id', 'where', 'seen', 'consequence', 'remedy', 'link']
    assert [row[:4] for row in rows[1:]] == [
        ['critical', 'slot-lost', 'node1, slot gone', 'one two  three'],
        ['warning', 'etcd-gateway-off', 'etcd infra2 (http://10.0.0.2:2379)', some[1].seen],
        ['info', 'node-serves', 'node1', some[2].seen],
    ]
    assert render('tsv', facts(), []).count('\n') == 1
    some[0].seen = 'a\x1b[2Jb\u202e'
    assert r'a\x1b[2Jb\u202e' in render('tsv', facts(), some)

"""The JSON schemas of ``check``, ``plan`` and ``doctor -f json``: made from the dataclasses and their fields' comments.

``python -m tools.schemas`` writes docs/check.schema.json, docs/check-all.schema.json, docs/plan.schema.json and
docs/doctor.schema.json; ``--check`` ends with status 1 and a diff if a committed file differs. A field without a
comment (``#:``) is an error.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import difflib
import inspect
import json
import re
import sys
import textwrap
import typing
from pathlib import Path
from typing import Any, Dict

from patroni_etcd3_compat.check import facts
from patroni_etcd3_compat.check.doctor import model as doctor
from patroni_etcd3_compat.check.plan import model as plan

DOCS = Path(__file__).resolve().parent.parent / 'docs'

Schema = Dict[str, Any]

_DRAFT = 'http://json-schema.org/draft-07/schema#'
_VERSION = (
    'Version of this format. It grows when a name is removed or changes its meaning. A program should refuse versions '
    'that it does not know, and ignore names that it does not know.'
)
_PLAIN = {str: 'string', int: 'integer', float: 'number', bool: 'boolean', type(None): 'null'}


def documents() -> dict[Path, str]:
    """Return the text that each schema file should have."""
    schemas = {
        'check.schema.json': check_schema(),
        'check-all.schema.json': check_schema(facts.Fleet, ' --all'),
        'plan.schema.json': plan_schema(),
        'doctor.schema.json': doctor_schema(),
    }
    return {DOCS / name: json.dumps(schema, indent=2) + '\n' for name, schema in schemas.items()}


def check_schema(root: type = facts.Facts, options: str = '') -> Schema:
    """Return the schema of ``check -f json``: the fields of Facts or Fleet, the findings and the exit status."""
    own = {
        'schema': {'description': _VERSION, 'const': facts.SCHEMA},
        'exit_status': {
            'description': 'Exit status of the command: 0 ok, 1 warning, 2 critical, 3 something important is unknown.',
            'enum': [0, 1, 2, 3],
        },
        'findings': {
            'description': 'What was found, most severe first, without what --only and --ignore leave out.',
            'type': 'array',
            'items': {'$ref': '#/definitions/Finding'},
        },
    }
    return _document(
        f'patroni-etcd3-compat check{options} -f json',
        'Facts about etcd, Patroni and PostgreSQL, and findings. null means unknown, never no. Sizes and positions are '
        'in bytes, times in seconds. YAML (-f yaml) has the same content.',
        own,
        root,
        [facts.Finding],
    )


def plan_schema() -> Schema:
    """Return the schema of ``plan -f json``."""
    ready = {'description': _sentence(inspect.getdoc(plan.Plan.ready) or ''), 'type': 'boolean'}
    return _document(
        'patroni-etcd3-compat plan -f json',
        'The upgrade of one cluster, step by step. Commands are for sh and bash, after the variables were set. Lines '
        'in "commands" and "back_commands" that start with # say what only the site itself can know, such as how a '
        'package is installed.',
        {'schema': {'description': _VERSION, 'const': plan.SCHEMA}, 'ready': ready},
        plan.Plan,
        [],
    )


def doctor_schema() -> Schema:
    """Return the schema of ``doctor -f json``."""
    status = {
        'description': 'Exit status of the command, the worst of the processes; 3 if there are none.',
        'enum': [0, 1, 2, 3],
    }
    return _document(
        'patroni-etcd3-compat doctor -f json',
        'What serves section etcd3 of the Patroni on this host, and why not. null means unknown, never no.',
        {'schema': {'description': _VERSION, 'const': doctor.SCHEMA}, 'exit_status': status},
        doctor.Report,
        [],
    )


def _document(title: str, text: str, own: Schema, root: type, others: list[type]) -> Schema:
    """Return a whole schema: the fields of one class at its top, under *own*, and a definition per class."""
    body, definitions = _class(root), {}
    waiting = [*others, *_classes_in(root)]
    while waiting:
        each = waiting.pop(0)
        if each.__name__ not in definitions:
            definitions[each.__name__] = _class(each)
            waiting += _classes_in(each)
    properties = {**own, **{name: part for name, part in body['properties'].items() if name not in own}}
    return {
        '$schema': _DRAFT,
        'title': title,
        'description': text,
        'type': 'object',
        'required': list(properties),
        'properties': properties,
        'definitions': definitions,
    }


def _classes_in(cls: type) -> list[type]:
    """Return the dataclasses in the fields of a class."""

    def inside(hint: Any) -> list[type]:
        if dataclasses.is_dataclass(hint):
            return [typing.cast(type, hint)]
        return [found for argument in typing.get_args(hint) for found in inside(argument)]

    return [found for hint in typing.get_type_hints(cls).values() for found in inside(hint)]


def _class(cls: type) -> Schema:
    """Return the schema of a dataclass; every field is in the output, so each is required."""
    hints, comments = typing.get_type_hints(cls), _comments(cls)
    properties = {}
    for each in dataclasses.fields(cls):
        if each.name not in comments:
            raise ValueError(f'{cls.__name__}.{each.name} has no comment (#:)')
        part = _typed(hints[each.name], dict(each.metadata))
        if '$ref' in part:  # draft 7 ignores anything beside $ref
            part = {'allOf': [part]}
        properties[each.name] = {'description': comments[each.name], **part}
    return {
        'description': _sentence(inspect.getdoc(cls) or ''),
        'type': 'object',
        'required': list(properties),
        'properties': properties,
    }


def _typed(hint: Any, metadata: Schema) -> Schema:
    """Return the schema of a type.

    :param hint: the annotation, evaluated.
    :param metadata: of the field: ``enum`` lists all values, ``schema`` is added as it is, ``items`` to what is in a
                     list.
    """
    added = dict(metadata.get('schema', {}))
    if dataclasses.is_dataclass(hint):
        return {'$ref': f'#/definitions/{typing.cast(type, hint).__name__}'}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return {'type': 'array', 'items': {**_typed(arguments[0], {}), **metadata.get('items', {})}, **added}
    if origin is dict:
        values = {} if arguments[1] is Any else {'additionalProperties': _typed(arguments[1], {})}
        return {'type': 'object', **values, **added}
    if hint in _PLAIN:
        enum = {'enum': list(metadata['enum'])} if 'enum' in metadata else {}
        return {'type': _PLAIN[hint], **enum, **added}
    return _optional([each for each in arguments if each is not type(None)], metadata)


def _optional(arguments: list[Any], metadata: Schema) -> Schema:
    """Return the schema of a type that may also be null."""
    (argument,) = arguments  # no other union is used
    part = _typed(argument, metadata)
    if '$ref' in part:
        return {'anyOf': [part, {'type': 'null'}]}
    enum = {'enum': [*part['enum'], None]} if 'enum' in part else {}
    return {**part, 'type': [part['type'], 'null'], **enum}


def _comments(cls: type) -> dict[str, str]:
    """Return the comments (``#:``) above the fields of a class, as descriptions."""
    lines = textwrap.dedent(inspect.getsource(cls)).splitlines()
    (node,) = ast.parse('\n'.join(lines)).body
    found = {}
    for statement in typing.cast(ast.ClassDef, node).body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            above: list[str] = []
            for line in reversed(lines[: statement.lineno - 1]):
                if not line.strip().startswith('#:'):
                    break
                above.insert(0, line.strip()[2:].strip())
            if above:
                found[statement.target.id] = _sentence(' '.join(above))
    return found


def _sentence(text: str) -> str:
    """Return a comment as a description: in JSON's terms, with a capital letter and a full stop."""
    for python, other in (('None', 'null'), ('True', 'true'), ('False', 'false')):
        text = re.sub(rf'\b{python}\b', other, text)
    text = ' '.join(re.sub(r'``([^`]*)``', r"'\1'", text).split())
    return text[:1].upper() + text[1:].rstrip('.') + '.'


def differences() -> str:
    """Return a diff of what has to change in the committed files; empty if they are up to date."""
    lines: list[str] = []
    for path, wanted in documents().items():
        present = path.read_text() if path.exists() else ''
        lines += difflib.unified_diff(
            present.splitlines(True), wanted.splitlines(True), f'docs/{path.name}', f'docs/{path.name} (generated)'
        )
    return ''.join(lines)


def main() -> int:
    """Write or compare the files, see the module."""
    parser = argparse.ArgumentParser(description='Write the JSON schemas in docs/, or compare them.')
    parser.add_argument('--check', action='store_true', help='compare only; status 1 if a file is out of date')
    if parser.parse_args().check:
        diff = differences()
        sys.stdout.write(diff)
        return 1 if diff else 0
    for path, text in documents().items():
        path.write_text(text)
    return 0


if __name__ == '__main__':
    sys.exit(main())

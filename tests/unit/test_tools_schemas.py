"""The JSON schemas in docs/ match the dataclasses."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator

import jsonschema
import pytest

from patroni_etcd3_compat.check.facts import Fleet
from tools import schemas

#: Python 3.8 and 3.9 cannot evaluate ``str | None``, which the annotations have.
pytestmark = pytest.mark.skipif(sys.version_info < (3, 10), reason='annotations cannot be evaluated')


def test_committed_files() -> None:
    """The committed files are up to date; if not, ``python -m tools.schemas`` writes them."""
    assert schemas.differences() == ''


def test_check_notices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that differs or is missing gives a diff and status 1 until it is written."""
    monkeypatch.setattr(schemas, 'DOCS', tmp_path)
    monkeypatch.setattr(sys, 'argv', ['schemas', '--check'])
    assert schemas.main() == 1
    assert '+  "title": "patroni-etcd3-compat plan -f json",' in capsys.readouterr().out
    monkeypatch.setattr(sys, 'argv', ['schemas'])
    assert schemas.main() == 0
    monkeypatch.setattr(sys, 'argv', ['schemas', '--check'])
    assert schemas.main() == 0 and capsys.readouterr().out == ''
    changed = tmp_path / 'check.schema.json'
    changed.write_text(changed.read_text().replace('"hexadecimal"', '', 1).replace('"boolean"', '"string"', 1))
    assert schemas.main() == 1 and '+' in capsys.readouterr().out


def properties(part: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return all properties of a schema."""
    if isinstance(part, dict):
        yield from part.get('properties', {}).items()
        for value in part.values():
            yield from properties(value)


@pytest.mark.parametrize(
    'make',
    [schemas.check_schema, functools.partial(schemas.check_schema, Fleet), schemas.plan_schema, schemas.doctor_schema],
)
def test_everything_is_described(make: Callable[[], dict[str, Any]]) -> None:
    """Each property has a type and a sentence in JSON's terms; each schema is valid under draft 7."""
    schema = make()
    jsonschema.Draft7Validator.check_schema(schema)
    for name, part in properties(schema):
        if name == 'action' and set(part) == {'enum'}:
            continue
        text = part['description']
        assert text[0].isupper() or not text[0].isalpha(), text
        assert text.endswith('.') and 'None' not in text and '``' not in text and ':data:' not in text
        assert {'type', 'enum', 'const', '$ref', 'anyOf', 'allOf'} & set(part), name


@dataclass
class Uncommented:
    """A class in which only one field has a comment."""

    #: it may be None;
    #: of two lines
    told: int | None
    untold: str


def test_a_field_without_a_comment_is_an_error() -> None:
    """A field without a comment is an error, so that none is forgotten."""
    assert schemas._comments(Uncommented) == {'told': 'It may be null; of two lines.'}
    with pytest.raises(ValueError, match=r'Uncommented\.untold has no comment'):
        schemas._class(Uncommented)

"""The workflow for a public forge says what the Makefile and setup.cfg say."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from lab import ROOT
from tools.pythons import claimed

#: The first release of each action on Node.js 24. GitHub's runners no longer have Node.js 20, which those before need.
NODE_24 = {'checkout': 5, 'setup-python': 6, 'setup-go': 6, 'cache': 5, 'upload-artifact': 6}

pytestmark = pytest.mark.skipif(not (ROOT / '.github').exists(), reason='not in a checkout')


def jobs() -> dict[str, Any]:
    """Return the jobs of the workflow."""
    ret: dict[str, Any] = yaml.safe_load((ROOT / '.github/workflows/ci.yml').read_text())['jobs']
    return ret


def commands() -> list[str]:
    """Return all lines that the jobs run."""
    return [line for job in jobs().values() for step in job['steps'] for line in step.get('run', '').splitlines()]


def test_targets_exist() -> None:
    """Each step is a target of the Makefile, or installs what README asks for."""
    targets = set(re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), re.M))
    for command in commands():
        program, *words = command.split()
        assert program in ('make', 'apt-get', 'git'), command
        assert program != 'make' or set(words) <= targets, command
    assert 'make test' in commands() and 'make lint test-docs' in commands()


def test_all_pythons() -> None:
    """The unit tests run under each Python that setup.cfg names."""
    assert jobs()['unit']['strategy']['matrix']['python'] == claimed()


def test_runs_anywhere() -> None:
    """Each job ends, the workflow may only read, and every action is an official one that runners can run."""
    text = (ROOT / '.github/workflows/ci.yml').read_text()
    assert yaml.safe_load(text)['permissions'] == {'contents': 'read'}
    for job in jobs().values():
        assert job['timeout-minutes'] <= 60 and re.match(r'ubuntu-\d', job['runs-on'])
        for step in job['steps']:
            if 'run' not in step:
                action = re.match(r'actions/([a-z-]+)@v(\d+)$', step['uses'])
                assert action and int(action.group(2)) >= NODE_24[action.group(1)], step['uses']
    assert 'secrets.' not in text
    assert '--init' in jobs()['servers']['container']['options'].split()  # a PostgreSQL that ended must not be a zombie

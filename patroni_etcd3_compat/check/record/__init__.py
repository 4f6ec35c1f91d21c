"""The record of what changed while ``check --watch`` looked on: one JSON line per change, in a file that only grows.

``state`` makes of a look what the record follows; ``changes`` compares two states, and replays them; ``file`` is the
file, ``recorder`` puts them together. Only the last two do I/O.
"""

from __future__ import annotations

from .changes import changed, changes, replay
from .event import SCHEMA, Event
from .file import Record, RecordError, RecordFile, read
from .recorder import record_option, recording
from .state import Key, State, state_of

__all__ = [
    'Event',
    'Key',
    'Record',
    'RecordError',
    'RecordFile',
    'SCHEMA',
    'State',
    'changed',
    'changes',
    'read',
    'record_option',
    'recording',
    'replay',
    'state_of',
]

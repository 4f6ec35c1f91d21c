"""What changed from one look to the next, as events; and the state that events lead to. Pure."""

from __future__ import annotations

from typing import Iterator, List, Mapping, cast

from ..facts import JSON, SEVERITIES
from ..render.text import one_line
from ..units import comma, number
from .event import BEGAN, Event
from .state import (
    CLUSTER_VERSION,
    ETCD,
    FINDING,
    GONE,
    LEADER,
    NOBODY,
    PATRONI,
    PAUSED,
    POSTGRES,
    SERVES,
    SILENT,
    STATE,
    UP,
    URL,
    VERSION,
    Key,
    State,
)

#: In which order the changes of one look are told.
_ORDER = (STATE, VERSION, SERVES, POSTGRES, URL, CLUSTER_VERSION, LEADER, PAUSED)


def changes(before: Mapping[Key, str], after: Mapping[Key, str], seen: Mapping[Key, str] | None = None) -> list[Event]:
    """Return what is different, in an order that is always the same.

    :param before: the state at the last look.
    :param after: the state now.
    :param seen: what the findings say was seen.

    :returns: one event for each key that changed. :func:`replay` makes *after* of *before* with them.
    """
    keys = [key for key in {*before, *after} if before.get(key) != after.get(key)]
    return [_event(key, before.get(key), after.get(key), (seen or {}).get(key)) for key in sorted(keys, key=_place)]


def _place(key: Key) -> tuple[object, ...]:
    what = str(_ORDER.index(key.what)) if key.about != FINDING and key.what in _ORDER else key.what
    return (ETCD, PATRONI, FINDING).index(key.about), key.cluster, not key.name, key.name, what


def _event(key: Key, before: str | None, after: str | None, seen: str | None) -> Event:
    kind, text = (_finding if key.about == FINDING else _cluster if not key.name else _member)(key, before, after)
    data: dict[str, JSON] = {'about': key.about, 'name': key.name, 'what': key.what, 'before': before, 'after': after}
    if seen is not None:
        data['seen'] = seen
        text = f'{text}: {seen}' if after is not None else text
    return Event(kind, one_line(text), data, key.cluster or None)


def _called(key: Key) -> str:
    who = 'etcd' if key.about == ETCD else f'Patroni {key.cluster}'
    return f'{who}: {key.name}' if key.name else who


def _member(key: Key, before: str | None, after: str | None) -> tuple[str, str]:
    kind = f'{key.about}-{"member" if key.what == STATE else key.what}'
    who = _called(key)
    if after is None:
        return kind, f'{who} is not followed under this name any more ({key.what} was {before})'
    if key.what == STATE:
        texts = {
            UP: 'answers' if before is None else 'is back' if before == GONE else 'answers again',
            SILENT: 'does not answer' if before != GONE else 'is back, but does not answer',
            GONE: 'is no longer in the member list' if key.about == ETCD else 'has no key in etcd any more',
        }
        return kind, f'{who} {texts.get(after, f"is {after}")}'
    if key.what == VERSION:
        runs = 'etcd' if key.about == ETCD else 'Patroni'
        return kind, f'{who} runs {runs} {after}, before {before}' if before else f'{who} runs {runs} {after}'
    if key.what == SERVES:
        return kind, f'{who} is served by {after}, before {before or "unknown"}'
    if key.what == POSTGRES:
        return kind, f'{who} runs PostgreSQL {after}, before {before or "unknown"}'
    return kind, f'{who}: {key.what} is {after}, before {before or "unknown"}'


def _cluster(key: Key, before: str | None, after: str | None) -> tuple[str, str]:
    who = _called(key)
    kind = f'{key.about}-{"cluster" if key.what == STATE else key.what}'
    if key.what == LEADER:
        return kind, f'{who}: {_leads(after)}, before {_leads(before)}'
    if key.what == CLUSTER_VERSION:
        return kind, f'{who}: the cluster version is {after or "unknown"}, before {before or "unknown"}'
    if key.what == PAUSED:
        return kind, f'{who} is {"paused" if after == "on" else "not paused any more" if before else "not paused"}'
    texts = {UP: 'can be seen', SILENT: 'cannot be seen: its keys cannot be read', GONE: 'has no keys in etcd any more'}
    return kind, f'{who} {texts.get(after or "", "is unknown")}'


def _leads(name: str | None) -> str:
    return 'the leader is unknown' if name is None else 'nobody leads' if name == NOBODY else f'{name} leads'


def _finding(key: Key, before: str | None, after: str | None) -> tuple[str, str]:
    where = f'{key.what} at {key.name}' + (f' of {key.cluster}' if key.cluster else '')
    if before is None:
        return 'finding-came', f'{after}: {where}'
    if after is None:
        return 'finding-went', f'no longer found: {where}, which was {before}'
    worse = SEVERITIES.index(after) > SEVERITIES.index(before) if {before, after} <= set(SEVERITIES) else False
    return f'finding-{"worse" if worse else "better"}', f'{after}, before {before}: {where}'


def began(state: Mapping[Key, str], of: str) -> Event:
    """Return the event with all of a state, with which a record begins.

    :param state: what is known.
    :param of: what is looked at.
    """
    etcd = sorted({value for key, value in state.items() if key.about == ETCD and key.what == VERSION})
    patroni = sorted({value for key, value in state.items() if key.about == PATRONI and key.what == VERSION})
    findings = sum(key.about == FINDING for key in state)
    parts = [f'etcd {comma(etcd) or "of unknown version"}, {_leads(state.get(Key(ETCD, "", "", LEADER)))}']
    if any(key.about == PATRONI for key in state):
        parts.append(f'Patroni {comma(patroni) or "of unknown version"}')
    parts.append(number(findings, 'finding'))
    entries = [[*key, value] for key, value in sorted(state.items(), key=lambda item: _place(item[0]))]
    data: dict[str, JSON] = {'of': of, 'state': cast(List[JSON], entries)}
    return Event(BEGAN, one_line(f'the record of {of} begins: {"; ".join(parts)}'), data)


def replay(state: State, event: Event) -> None:
    """Change a state as an event says. One that says nothing about the state leaves it as it is.

    :param state: the state before.
    :param event: as it was recorded. What does not belong into it is ignored: it comes from a file.
    """
    if event.kind == BEGAN:
        state.clear()
        state.update(_entries(event.data.get('state')))
    key = changed(event)
    if key is None:
        return
    after = event.data['after']
    if isinstance(after, str):
        state[key] = after
    else:
        state.pop(key, None)


def changed(event: Event) -> Key | None:
    """Return what an event says has changed; ``None`` if it is another kind of event."""
    data = event.data
    about, name, what = (data.get(part) for part in ('about', 'name', 'what'))
    if about not in (ETCD, PATRONI, FINDING) or not isinstance(name, str) or not isinstance(what, str):
        return None
    return Key(str(about), event.cluster or '', name, what) if 'after' in data else None


def _entries(found: object) -> Iterator[tuple[Key, str]]:
    for entry in found if isinstance(found, list) else ():
        if isinstance(entry, list) and len(entry) == 5 and all(isinstance(part, str) for part in entry):
            if entry[0] in (ETCD, PATRONI, FINDING):
                yield Key(*entry[:4]), entry[4]

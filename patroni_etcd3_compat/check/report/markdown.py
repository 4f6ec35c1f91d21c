"""A report as Markdown: the verdict, the timeline, how long steps and gaps took, versions before and after. Pure."""

from __future__ import annotations

from typing import Iterable

from ..record import Event
from ..record.event import BEGAN, ENDED, RESUMED
from ..record.state import ETCD, FINDING, LEADER, PATRONI, VERSION
from ..units import comma, number
from .beside import SEEN, Comparison
from .story import Story, findings_of, outages_of, versions_of
from .text import lasted, md, moment, table, who

#: How many names are in the verdict.
_NAMED = 5

#: Seconds below which nothing was unknown: times are rounded.
_SHORTEST = 0.1


def markdown(story: Story, comparison: Comparison | None = None, picture: str | None = None) -> str:
    """Return the report.

    :param story: what the record tells.
    :param comparison: a plan beside it.
    :param picture: name of the file with the picture, as the report refers to it.
    """
    blocks = [f'# Record of {md(story.of)}', *_verdict(story)]
    if picture:
        blocks.append(f'![members, leaders and findings over time](<{md(picture)}>)')
    blocks += ['## Versions', _versions(story)]
    if story.steps:
        blocks += ['## Steps', _steps(story)]
    gaps = _gaps(story)
    if gaps:
        blocks += ['## Gaps', table(['from', 'to', 'how long', 'what'], gaps)]
    if comparison:
        blocks += _plan(comparison)
    blocks += ['## Findings', _findings(story), '## Timeline', _timeline(story.events)]
    return '\n\n'.join(block for block in blocks if block) + '\n'


def _verdict(story: Story) -> list[str]:
    lines = [
        f'**{moment(story.start)} to {moment(story.end)} UTC ({lasted((story.end - story.start).total_seconds())}): '
        f'{"; ".join(_changes(story))}.**'
    ]
    sentences = []
    for about, name in ((ETCD, 'etcd'), (PATRONI, 'Patroni')):
        if about == ETCD or any(key.about == about for key in (*story.first, *story.last)):
            sentences.append(_leaderless(story, about, name))
    came = [span for span in findings_of(story) if not span.from_start]
    stayed = [key for key in story.last if key.about == FINDING and key not in story.first]
    went = [key for key in story.first if key.about == FINDING and key not in story.last]
    new = {span.key for span in came if span.key not in story.first}
    sentences.append(
        f'{number(len(new), "finding")} came, of which {len(stayed)} stayed; {len(went)} of those before went'
    )
    lines += ['\n'.join(f'- {sentence}.' for sentence in sentences)]
    looked = f'Seen from {md(comma(story.hosts))}' if story.hosts else 'Seen'
    every = f', one look every {comma([f"{seconds:g} s" for seconds in story.every], "or")}' if story.every else ''
    end = '' if story.ended else ' The record does not say that it was ended: it goes on, or it was killed.'
    lines.append(
        f'{looked}{every}. A time is that of the look that saw the change, so the change itself was up to one look '
        f'earlier.{end}'
    )
    if story.gaps:
        lines.append(
            f'**Nobody looked on for {lasted(sum(gap.seconds for gap in story.gaps))}** '
            f'({number(len(story.gaps), "time")}): what happened then is known by its result alone.'
        )
    if story.broken:
        lines.append(
            f'**{number(story.broken, "line")} of the file cannot be read** and {"is" if story.broken == 1 else "are"} '
            'left out. Such a line is what is left where the command was killed as it wrote, or the disk was full.'
        )
    return lines


def _changes(story: Story) -> list[str]:
    found = []
    for about, name in ((ETCD, 'etcd'), (PATRONI, 'Patroni')):
        before, after = versions_of(story.first, about), versions_of(story.last, about)
        if before or after:
            same = before == after
            text = md(comma(before) or 'unknown') if same else f'{md(comma(before) or "unknown")} -> {md(comma(after))}'
            found.append(f'{name} {text}')
    return found or ['no version is known']


def _leaderless(story: Story, about: str, name: str) -> str:
    if not story.of_kind(about, LEADER):
        return f'{name}: the leader was unknown all the time'
    spans = story.without_leader(about)
    text = f'{name}: {number(story.leader_changes(about), "change")} of leader seen, '
    if spans:
        worst = max(spans, key=lambda span: span.seconds)
        clusters = sorted({span.key.cluster for span in spans} - {''})
        of = f' ({md(_some(clusters))})' if about == PATRONI and clusters else ''
        total = f'{lasted(sum(span.seconds for span in spans))} in all' if len(spans) > 1 else 'once'
        text += f'without a leader{of} {total}, for {lasted(worst.seconds)} at the longest'
    else:
        text += 'never seen without one'
    unknown = _unknown_leader(story, about)
    return text + (f'; it was unknown for {lasted(unknown)}' if unknown >= _SHORTEST else '')


def _unknown_leader(story: Story, about: str) -> float:
    """Return for how many seconds the leaders were unknown in all."""
    clusters = {key.cluster for key in (*story.first, *story.last) if key.about == about}
    whole = (story.end - story.start).total_seconds()
    return sum(
        max(whole - sum(span.seconds for span in story.of_kind(about, LEADER) if span.key.cluster == cluster), 0)
        for cluster in clusters
    )


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return comma(names[:_NAMED] + ([f'{more} more'] if more > 0 else []))


def _versions(story: Story) -> str:
    keys = sorted({key for key in (*story.first, *story.last) if key.what == VERSION and key.about != FINDING})
    changed = [key for key in keys if story.first.get(key) != story.last.get(key)]
    rows = [[md(who(key)), *(md(state.get(key, 'unknown')) for state in (story.first, story.last))] for key in changed]
    if not rows:
        return f'No version changed ({number(len(keys), "member")}).'
    text = table(['member', 'before', 'after'], rows)
    same = len(keys) - len(changed)
    return (
        f'{text}\n\n{number(same, "other member")} stayed as {"it was" if same == 1 else "they were"}.'
        if same
        else text
    )


def _steps(story: Story) -> str:
    rows, before = [], None
    for step in story.steps:
        pause = lasted(max((step.start - before).total_seconds(), 0)) if before else '-'
        took = 'nobody looked on' if step.unseen else lasted(step.seconds) if step.seconds else 'less than a look'
        rows.append([md(who(step.key)), f'{md(step.before)} -> {md(step.after)}', moment(step.start), moment(step.end)])
        rows[-1] += [took, pause]
        before = step.end
    return table(['member', 'step', 'stopped answering', 'answered again', 'took', 'after the step before'], rows)


def _gaps(story: Story) -> list[list[str]]:
    rows = [(gap.start, gap.end, gap.seconds, 'nobody looked on') for gap in story.gaps]
    for about in (ETCD, PATRONI):
        for span in story.without_leader(about):
            rows.append((span.start, span.end, span.seconds, f'{who(span.key)}: no leader'))
    for span in outages_of(story):
        rows.append((span.start, span.end, span.seconds, f'{who(span.key)}: {_STATES.get(span.value, span.value)}'))
    return [[moment(start), moment(end), lasted(seconds), md(what)] for start, end, seconds, what in sorted(rows)]


_STATES = {'silent': 'did not answer', 'gone': 'was gone'}


def _findings(story: Story) -> str:
    spans = [span for span in findings_of(story) if not (span.from_start and span.to_end)]
    lasting = len(findings_of(story)) - len(spans)
    rest = f'{number(lasting, "finding")} stayed from the beginning to the end.' if lasting else ''
    if not spans:
        return rest or 'None.'
    rows = [
        [
            md(span.value),
            md(span.key.what),
            md(f'{span.key.cluster}: {span.key.name}' if span.key.cluster else span.key.name),
            'from the beginning' if span.from_start else moment(span.start),
            'to the end' if span.to_end else moment(span.end),
            lasted(span.seconds),
        ]
        for span in spans
    ]
    text = table(['severity', 'finding', 'where', 'from', 'to', 'how long'], rows)
    return f'{text}\n\n{rest}' if rest else text


def _plan(comparison: Comparison) -> list[str]:
    rows = []
    for step in comparison.steps:
        time = step.event.time if step.event else None
        result = f'{step.result}, after a later step' if step.late else step.result
        rows.append([str(step.number), md(step.title), result, moment(time) if time else '-'])
        rows[-1].append(md(step.event.text) if step.event else '-')
    seen = sum(step.result == SEEN for step in comparison.steps)
    late = sum(step.late for step in comparison.steps)
    verdict = f'Plan: {md(comparison.title)}, made at {md(comparison.taken)}. {seen} of {len(rows)} steps were seen'
    verdict += f', {number(late, "step")} not in the order of the plan.' if late else ', in the order of the plan.'
    blocks = ['## The plan beside it', verdict, table(['step', 'plan', 'result', 'time', 'what was seen'], rows)]
    if comparison.others:
        blocks += ['Not in the plan:', '\n'.join(f'- {_when(event)} {md(event.text)}' for event in comparison.others)]
    return blocks


def _when(event: Event) -> str:
    return moment(event.time) if event.time else ''


def _timeline(events: Iterable[Event]) -> str:
    marks = {BEGAN: '**begin**', RESUMED: '**on**', ENDED: '**end**'}
    return table(
        ['time (UTC)', 'what', 'seen'],
        [[_when(event), marks.get(event.kind, md(event.kind)), md(event.text)] for event in events],
    )

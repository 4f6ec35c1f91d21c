"""A report as an SVG picture: one lane per member, leader and finding, time from left to right. Pure."""

from __future__ import annotations

from datetime import timedelta
from html import escape
from typing import Sequence

from ...versions import dotted, parse_version
from ..facts import SEVERITIES
from ..record import Key
from ..record.state import ETCD, FINDING, LEADER, NOBODY, PATRONI, STATE, UP, VERSION
from ..render.text import one_line
from ..units import number
from .story import Span, Story, findings_of
from .text import leader, moment, who

_WIDTH, _LEFT, _RIGHT, _LANE, _BAR = 960, 230, 20, 20, 14

#: Colours of versions and of leaders, one after the other in the order in which they appear.
_COLOURS = ('#6f8ba6', '#3f6fb5', '#3a7d44', '#8a6bb1', '#c08a2d', '#4a9a9a', '#7a7a7a')
_DOWN, _SEVERITIES = '#b94a48', {'critical': '#b94a48', 'warning': '#d9952b', 'unknown': '#8a8a8a', 'info': '#c4c4c4'}

#: How many Patroni clusters and findings are drawn, those with the most changes first, and the worst.
_CLUSTERS, _FINDINGS = 12, 40

#: Seconds between two lines of the scale.
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400, 604800)


def draw(story: Story) -> str:
    """Draw a record.

    :param story: what it tells.
    :returns: the text of an SVG file.
    """
    return _Picture(story).text()


class _Picture:
    def __init__(self, story: Story) -> None:
        self._story = story
        self._seconds = max((story.end - story.start).total_seconds(), 1)
        self._body: list[str] = []
        self._y = 62
        self._colours: dict[tuple[str, str], str] = {}

    def text(self) -> str:
        """Return the whole file."""
        self._members(ETCD, '')
        clusters = self._clusters()
        for cluster in clusters[:_CLUSTERS]:
            self._members(PATRONI, cluster)
        self._more(clusters[_CLUSTERS:], 'Patroni cluster')
        self._findings()
        title = f'{self._story.of}, {moment(self._story.start)} to {moment(self._story.end)} UTC'
        height = self._y + 34
        return '\n'.join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
                f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">',
                '<style>.value {font-size: 10px; fill: #555} .in {font-size: 10px; fill: #fff}</style>',
                '<rect width="100%" height="100%" fill="#fff"/>',
                f'<text x="12" y="22" font-size="14" font-weight="bold">{_safe(title)}</text>',
                _legend(),
                *self._unwatched(),
                *self._scale(),
                *self._body,
                '</svg>',
                '',
            ]
        )

    def _x(self, seconds: float) -> float:
        return _LEFT + min(max(seconds / self._seconds, 0), 1) * (_WIDTH - _LEFT - _RIGHT)

    def _bar(self, span: Span, colour: str, text: str, tip: str, height: int = _BAR) -> None:
        begin = self._x((span.start - self._story.start).total_seconds())
        width = max(self._x((span.end - self._story.start).total_seconds()) - begin, 2)
        self._body.append(
            f'<rect x="{begin:.1f}" y="{self._y}" width="{width:.1f}" height="{height}" fill="{colour}">'
            f'<title>{_safe(f"{tip}, {moment(span.start)} to {moment(span.end)}")}</title></rect>'
        )
        if text and width > 6.5 * len(text) + 4:
            self._body.append(f'<text x="{begin + 4:.1f}" y="{self._y + 11}" class="in">{_safe(text)}</text>')

    def _label(self, text: str, bold: bool = False, small: bool = False) -> None:
        style = ' font-weight="bold"' if bold else ' class="value"' if small else ''
        most = 40 if small else 34
        text = one_line(text)
        short = text if len(text) <= most else text[: most - 1] + '\u2026'
        self._body.append(
            f'<text x="{_LEFT - 8}" y="{self._y + 11}" text-anchor="end"{style}>{_safe(short)}'
            f'<title>{_safe(text)}</title></text>'
        )

    def _members(self, about: str, cluster: str) -> None:
        """Draw the lanes of one cluster: its leader, and the version of each member, red while it is down."""
        spans = [span for span in self._story.spans if span.key[:2] == (about, cluster)]
        self._label('leader of etcd' if about == ETCD else f'leader of {cluster}', True)
        for span in spans:
            if span.key.what == LEADER:
                nobody = span.value == NOBODY
                colour = _DOWN if nobody else self._colour(f'{about} {cluster}', span.value)
                self._bar(span, colour, leader(span.value), f'leader: {leader(span.value)}')
        self._y += _LANE
        for name in sorted({span.key.name for span in spans} - {''}):
            self._label(who(Key(about, '', name, '')))
            of_member = [span for span in spans if span.key.name == name]
            for span in of_member:
                if span.key.what == VERSION:
                    version = parse_version(span.value)
                    line = dotted(version[:2]) if version else span.value
                    self._bar(span, self._colour(about, line), span.value, f'{name}: {span.value}')
            for span in of_member:
                if span.key.what == STATE and span.value != UP:
                    self._bar(span, _DOWN, '', f'{name}: {span.value}')
            self._y += _LANE
        self._y += 8

    def _colour(self, of: str, value: str) -> str:
        """Return the colour of a version line or a leader: the same one wherever it appears."""
        taken = sum(known == of for known, _ in self._colours)
        return self._colours.setdefault((of, value), _COLOURS[taken % len(_COLOURS)])

    def _clusters(self) -> list[str]:
        changes: dict[str, int] = {}
        for span in self._story.spans:
            if span.key.about == PATRONI:
                changes[span.key.cluster] = changes.get(span.key.cluster, 0) + (not span.from_start)
        return sorted(changes, key=lambda cluster: (-changes[cluster], cluster))

    def _findings(self) -> None:
        by_key: dict[Key, list[Span]] = {}
        for span in findings_of(self._story):
            by_key.setdefault(span.key, []).append(span)

        def place(key: Key) -> tuple[object, ...]:
            spans = by_key[key]
            worst = max(SEVERITIES.index(span.value) if span.value in SEVERITIES else 0 for span in spans)
            whole = len(spans) == 1 and spans[0].from_start and spans[0].to_end
            return whole, -worst, spans[0].start, key

        keys = sorted(by_key, key=place)
        for key in keys[:_FINDINGS]:
            where = key.name.partition(' (')[0]
            where = where[len('etcd ') :] if where.startswith('etcd ') else where
            self._label(' '.join(filter(None, (key.what, key.cluster, where))), small=True)
            for span in by_key[key]:
                colour = _SEVERITIES.get(span.value, _SEVERITIES['unknown'])
                self._bar(span, colour, '', f'{span.value}: {FINDING} {key.what} at {key.name}')
            self._y += _LANE
        self._more(keys[_FINDINGS:], 'finding')

    def _more(self, rest: Sequence[object], what: str) -> None:
        if rest:
            self._label(f'and {number(len(rest), "more " + what)}')
            self._y += _LANE

    def _unwatched(self) -> list[str]:
        found = []
        for gap in self._story.gaps:
            begin = self._x((gap.start - self._story.start).total_seconds())
            width = max(self._x((gap.end - self._story.start).total_seconds()) - begin, 1)
            found.append(
                f'<rect x="{begin:.1f}" y="56" width="{width:.1f}" height="{self._y - 56}" fill="#eee">'
                f'<title>{_safe(f"nobody looked on, {moment(gap.start)} to {moment(gap.end)}")}</title></rect>'
            )
        return found

    def _scale(self) -> list[str]:
        every = next((tick for tick in _TICKS if self._seconds / tick <= 9), _TICKS[-1])
        every *= max(int(self._seconds / every / 9), 1)
        found, place = [], 0
        while place <= self._seconds:
            x = self._x(place)
            time = (self._story.start + timedelta(seconds=place)).strftime('%H:%M:%S')
            found.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="56" y2="{self._y}" stroke="#ddd"/>'
                f'<text x="{x:.1f}" y="{self._y + 14}" text-anchor="middle" class="value">{time}</text>'
            )
            place += every
        return found


def _legend() -> str:
    entries = [(_DOWN, 'down, no leader, critical'), (_SEVERITIES['warning'], 'warning'), ('#8a8a8a', 'unknown')]
    entries += [(_SEVERITIES['info'], 'info'), ('#eee', 'nobody looked on')]
    x, found = _LEFT, []
    for colour, text in entries:
        found.append(f'<rect x="{x}" y="34" width="11" height="11" fill="{colour}" stroke="#ccc"/>')
        found.append(f'<text x="{x + 16}" y="44" class="value">{text}</text>')
        x += 36 + 6 * len(text)
    return ''.join(found)


def _safe(text: str) -> str:
    return escape(one_line(text))

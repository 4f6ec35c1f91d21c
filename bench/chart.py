"""The figures of the calls as an SVG: horizontal bars on a logarithmic scale."""

from __future__ import annotations

import math
from html import escape
from typing import Sequence

_WIDTH, _LEFT, _RIGHT, _BAR, _GAP = 760, 190, 70, 13, 12
_COLOURS = {
    'stock': '#b94a48',
    'this': '#3a7d44',
    'grpc': '#3f6fb5',
    'http.client': '#9a9a9a',
    'urllib3': '#c4c4c4',
    'grpcio': '#b0a8d0',
}
_NAMES = {
    'stock': 'stock Patroni',
    'this': 'with this package',
    'grpc': 'with it over gRPC',
    'http.client': 'bare http.client',
}


def draw(title: str, groups: dict[str, dict[str, float]], series: Sequence[str]) -> str:
    """Draw a chart.

    :param title: title of the chart.
    :param groups: milliseconds by label of the group and series; series that a group lacks are left out.
    :param series: the series in their order.
    :returns: the text of an SVG file.
    """
    values = [value for group in groups.values() for name, value in group.items() if name in series]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(value: float) -> float:
        return _LEFT + (math.log10(value) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    body: list[str] = []
    y = 66
    for label, group in groups.items():
        bars = [(name, group[name]) for name in series if name in group]
        body.append(
            f'<text x="{_LEFT - 8}" y="{y + len(bars) * _BAR / 2 + 4:.0f}" text-anchor="end">{escape(label)}</text>'
        )
        for name, value in bars:
            body.append(
                f'<rect x="{_LEFT}" y="{y}" width="{x(value) - _LEFT:.1f}" height="{_BAR - 2}" '
                f'fill="{_COLOURS[name]}"/>'
            )
            body.append(f'<text x="{x(value) + 4:.1f}" y="{y + _BAR - 3}" class="value">{value:.3g}</text>')
            y += _BAR
        y += _GAP
    lines = [
        f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="58" y2="{y}" stroke="#ddd"/>'
        f'<text x="{x(value):.1f}" y="{y + 14}" text-anchor="middle" class="value">{value:g} ms</text>'
        for value in (10.0**power for power in range(low, high + 1))
    ]
    legend = [
        f'<rect x="{_LEFT + 160 * i}" y="36" width="11" height="11" fill="{_COLOURS[name]}"/>'
        f'<text x="{_LEFT + 160 * i + 16}" y="46">{_NAMES.get(name, name)}</text>'
        for i, name in enumerate(series)
    ]
    return '\n'.join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y + 24}" '
            f'viewBox="0 0 {_WIDTH} {y + 24}" font-family="sans-serif" font-size="12">',
            '<style>.value {font-size: 10px; fill: #555}</style>',
            '<rect width="100%" height="100%" fill="#fff"/>',
            f'<text x="{_LEFT}" y="20" font-size="14" font-weight="bold">{escape(title)}</text>',
            *legend,
            *lines,
            *body,
            '</svg>',
            '',
        ]
    )

"""The figures of the calls as an SVG, written by hand: horizontal bars on a logarithmic scale."""
import math

from html import escape
from typing import Dict, List, Sequence

_WIDTH, _LEFT, _RIGHT, _BAR, _GAP = 760, 190, 70, 13, 12
_COLOURS = {'stock': '#b94a48', 'this': '#3a7d44', 'http.client': '#9a9a9a', 'urllib3': '#c4c4c4'}
_NAMES = {'stock': 'stock Patroni', 'this': 'with this package', 'http.client': 'bare http.client'}


def draw(title: str, groups: Dict[str, Dict[str, float]], series: Sequence[str]) -> str:
    """Draw a chart.

    :param title: what stands above.
    :param groups: milliseconds by label of the group and series; series that a group lacks are left out.
    :param series: which series, in their order.
    :returns: the text of an SVG file.
    """
    values = [value for group in groups.values() for name, value in group.items() if name in series]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(value: float) -> float:
        return _LEFT + (math.log10(value) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    body: List[str] = []
    y = 66
    for label, group in groups.items():
        bars = [(name, group[name]) for name in series if name in group]
        body.append('<text x="{0}" y="{1:.0f}" text-anchor="end">{2}</text>'.format(
            _LEFT - 8, y + len(bars) * _BAR / 2 + 4, escape(label)))
        for name, value in bars:
            body.append('<rect x="{0}" y="{1}" width="{2:.1f}" height="{3}" fill="{4}"/>'.format(
                _LEFT, y, x(value) - _LEFT, _BAR - 2, _COLOURS[name]))
            body.append('<text x="{0:.1f}" y="{1}" class="value">{2:.3g}</text>'.format(
                x(value) + 4, y + _BAR - 3, value))
            y += _BAR
        y += _GAP
    lines = ['<line x1="{0:.1f}" x2="{0:.1f}" y1="58" y2="{1}" stroke="#ddd"/>'
             '<text x="{0:.1f}" y="{2}" text-anchor="middle" class="value">{3:g} ms</text>'.format(
                 x(10.0 ** power), y, y + 14, 10.0 ** power) for power in range(low, high + 1)]
    legend = ['<rect x="{0}" y="36" width="11" height="11" fill="{1}"/><text x="{2}" y="46">{3}</text>'.format(
        _LEFT + 160 * i, _COLOURS[name], _LEFT + 160 * i + 16, _NAMES.get(name, name))
        for i, name in enumerate(series)]
    return '\n'.join(
        ['<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" viewBox="0 0 {0} {1}" '
         'font-family="sans-serif" font-size="12">'.format(_WIDTH, y + 24),
         '<style>.value {font-size: 10px; fill: #555}</style>',
         '<rect width="100%" height="100%" fill="#fff"/>',
         '<text x="{0}" y="20" font-size="14" font-weight="bold">{1}</text>'.format(_LEFT, escape(title)),
         *legend, *lines, *body, '</svg>', ''])

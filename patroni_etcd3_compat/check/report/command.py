"""The command ``report``."""

from __future__ import annotations

import json
import os

import click

from ..arguments import FILE_NAME, output_option
from ..output import same_file, to_stdout, write


@click.command()
@click.argument('file', type=FILE_NAME)
@output_option
@click.option(
    '--svg', type=FILE_NAME, metavar='FILE', help='Draw versions, leaders and findings over time into this SVG file.'
)
@click.option(
    '--plan',
    'plan_file',
    type=FILE_NAME,
    metavar='FILE',
    help='Lay the steps of this plan beside it: the output of plan -f json.',
)
def report(file: str, output: str | None, svg: str | None, plan_file: str | None) -> int:
    """Tell what happened, from a record that check --watch --record has written.

    Writes Markdown: a verdict, versions before and after, how long each step took, when nobody led or nobody looked on,
    the findings that came and went, and a timeline. Asks no server.

    \b
    Exit status: 0 the report is written, 3 it is not.

    \b
    Examples:
      patroni-etcd3-compat report upgrade.jsonl
      patroni-etcd3-compat report upgrade.jsonl -o upgrade.md --svg upgrade.svg --plan plan.json
    """
    from ..record import RecordError, read
    from .beside import PlanError, compare
    from .markdown import markdown
    from .picture import draw
    from .story import tell

    for target, kept in ((output, file), (svg, file), (output, plan_file), (svg, plan_file), (output, svg)):
        if same_file(target, kept):
            raise click.UsageError(f'{kept} would be overwritten: name another file')
    try:
        story = tell(read(file))
    except RecordError as e:
        raise click.ClickException(str(e)) from e
    if story is None:
        raise click.ClickException(f'{file} has no look in it: nothing can be reported')
    try:
        comparison = compare(story, _plan(plan_file)) if plan_file else None
    except PlanError as e:
        raise click.ClickException(f'{plan_file}: {e}') from e
    picture = None
    if svg:
        _write(draw(story), svg)
        picture = os.path.relpath(svg, os.path.dirname(os.path.abspath(output))) if output else svg
    _write(markdown(story, comparison, picture), output)
    return 0


def _plan(path: str) -> object:
    try:
        with open(path, encoding='utf-8') as stream:
            return json.load(stream)
    except OSError as e:
        raise click.ClickException(f'cannot read {path}: {e.strerror or e.errno}') from e
    except (ValueError, RecursionError):
        raise click.ClickException(f'{path} is no JSON: make a plan with plan -f json') from None


def _write(text: str, output: str | None) -> None:
    if output is None:
        return to_stdout(text)
    try:
        write(text, output)
    except OSError as e:
        raise click.ClickException(f'cannot write {output}: {e.strerror or e.errno}') from e

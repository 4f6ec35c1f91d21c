"""One step of a plan after the other, and the command ``follow``."""

from __future__ import annotations

import json
from typing import Any, Mapping

import click

from ..arguments import FILE_NAME
from ..plan.model import SCHEMA
from ..record.file import RecordError
from ..render.text import clean
from .progress import DONE, FAILED, FINISHED, OtherPlan, Progress
from .shell import Shell, to_fill_in

#: Actions after which the first gate opens, and before which it cannot be open: nobody has to say that they are done.
_SEEN = ('upgrade', 'downgrade')


@click.command()
@click.argument('plan', type=click.Path(exists=True, dir_okay=False))
@click.option(
    '--progress',
    type=FILE_NAME,
    metavar='FILE',
    help='File with what was done, to go on after an interruption. Default: PLAN.progress.',
)
@click.option(
    '--pause',
    type=click.FloatRange(min=0.1),
    default=2,
    metavar='SECONDS',
    help='Between two looks at a gate. Default: 2.',
)
def follow(plan: str, progress: str | None, pause: float) -> int:
    """Go through a plan with the person who carries it out.

    PLAN is the output of "plan -f json". Shows a step, waits until it is done, runs its gates and goes on to the next
    one; where a gate stays closed it shows the way back and ends. Started again, it goes on where it was. It runs
    nothing but the gates, which only look: the commands of the steps are for you. Passwords are taken from the
    variables of the environment that the plan names.

    \b
    Exit status: 0 all steps are done, 1 a gate stayed closed or somebody stopped,
    3 the plan cannot be followed.
    """
    with open(plan, encoding='utf-8') as stream:
        text = stream.read()
    document = _read(plan, text)
    try:
        walk = Walk(document, Progress(progress or f'{plan}.progress', text), pause)
    except OtherPlan as e:
        raise click.ClickException(
            f'{e} is about another plan than {plan}; name another file with --progress, or remove it'
        ) from None
    except RecordError as e:
        raise click.ClickException(str(e)) from None
    try:
        return walk.run()
    except OSError as e:
        raise click.ClickException(f'cannot write {walk.path}: {e.strerror or e}') from None
    finally:
        walk.close()


def _read(path: str, text: str) -> Mapping[str, Any]:
    """Return the plan.

    :raises click.ClickException: it is none, or it must not be begun.
    """
    try:
        plan = json.loads(text)
        if plan['schema'] != SCHEMA or not isinstance(plan['steps'], list):
            raise KeyError
    except (ValueError, KeyError, TypeError):
        raise click.ClickException(f'{path} is not a plan of this release; make one with: plan -f json') from None
    if not plan['ready']:
        raise click.ClickException(f'{path} is not ready: see its refusals and the checks that failed, and plan again')
    missing = to_fill_in(plan)
    if missing:
        raise click.ClickException(f'set these variables in the environment first: {", ".join(missing)}')
    return dict(plan)


class Walk:
    """Goes through a plan.

    :param plan: the plan, as JSON has it.
    :param progress: what was done already, and where to note it.
    :param pause: seconds between two looks at a gate.
    """

    def __init__(self, plan: Mapping[str, Any], progress: Progress, pause: float) -> None:
        self._plan, self._progress, self._pause = plan, progress, pause
        self.path = progress.path
        self._shell = Shell(plan)

    def close(self) -> None:
        """Let somebody else go on."""
        self._progress.close()

    def run(self) -> int:
        """Go through all steps, and return the exit status."""
        steps = self._plan['steps']
        click.echo(clean(f'Upgrade of {self._plan["title"]}: {len(steps)} steps. Progress: {self._progress.path}'))
        for number, step in enumerate(steps, 1):
            if number in self._progress.done:
                click.echo(clean(f'Step {number}: {step["title"]}: done at {self._progress.done[number]}'))
            elif not self._step(number, step):
                return 1
        click.echo('\nAll steps are done. What has to hold at the end:')
        closed = self._shell.first_closed(self._plan['health'], self._pause, _tick)
        if closed:
            return self._failed(0, *closed)
        self._progress.note(FINISHED, 'all steps are done')
        click.echo('Finished.')
        return 0

    def _step(self, number: int, step: Mapping[str, Any]) -> bool:
        """Go through a step, and return whether its gates are open."""
        click.echo('\n' + clean(_shown(number, len(self._plan['steps']), step)))
        if not self._wait(step):
            click.echo('Stopped. The same command goes on here.')
            return False
        closed = self._shell.first_closed(step['gates'], self._pause, _tick)
        if closed:
            self._failed(number, *closed)
            click.echo(
                clean('\n'.join(['The way back:', step['back'], *(f'  {line}' for line in step['back_commands'])]))
            )
            return False
        self._progress.note(DONE, f'step {number} is done: {step["title"]}', step=number, action=step['action'])
        return True

    def _wait(self, step: Mapping[str, Any]) -> bool:
        """Wait until a step is done, and return whether it is."""
        if step['gates'] and step['action']['action'] in _SEEN:
            click.echo(clean(f'Waiting until: {step["gates"][0]["title"]}'))
            return self._shell.passes(step['gates'][0], None, self._pause)[0]
        try:
            click.prompt('Press Enter when it is done', default='', show_default=False, prompt_suffix=' ')
        except click.Abort:
            return False
        return True

    def _failed(self, number: int, gate: Mapping[str, Any], text: str) -> int:
        self._progress.note(FAILED, f'step {number} failed: {gate["title"]}', step=number)
        click.echo(clean(f'CLOSED  {gate["title"]}\n  {gate["command"]}\n{text[-2000:]}'))
        return 1


def _tick(gate: Mapping[str, Any]) -> None:
    click.echo(clean(f'ok      {gate["title"]}'))


def _shown(number: int, count: int, step: Mapping[str, Any]) -> str:
    """Return a step as text."""
    lines = [f'Step {number} of {count}: {step["title"]}', step['why']]
    if not step['reversible']:
        lines.append('Point of no return: stop and think. After this step no single member can go back.')
    lines += [f'- {note}' for note in step['notes']]
    return '\n'.join([*lines, *(f'  {command}' for command in step['commands'])])

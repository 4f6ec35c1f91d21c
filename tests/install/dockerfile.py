"""The few instructions of a Dockerfile that the page uses, run in root trees. No layers, no cache, no isolation.

``FROM`` switches to the tree that stands for the image (the named stage, or the last one), ``USER`` sets who runs what
follows, ``RUN`` runs a line of a shell, ``COPY --from`` copies from the tree of a stage as root, with the modes that
files have there.
"""

from __future__ import annotations

import shlex
import shutil
from typing import Mapping

from .places import InTree


class BuildError(Exception):
    """A line failed."""


def build(text: str, image: InTree, stages: Mapping[str, InTree], user: str = 'root') -> str:
    """Run the lines of a Dockerfile.

    :param image: the tree of the image without a name.
    :param stages: the trees of stages that the lines name.
    :param user: who runs the first line.
    :returns: who would run the next line.
    :raises BuildError: for the first line that fails.
    """
    now = image
    for line in text.splitlines():
        for path, other in image.instead.items():
            line = line.replace(path, other)
        instruction, _, rest = line.partition(' ')
        words = rest.split()
        if instruction == 'FROM':
            now, user = (stages[words[2]] if words[1:2] == ['AS'] else image), 'root'
        elif instruction == 'USER':
            user = rest
        elif instruction == 'RUN':
            done = now.shell(f'runuser -u {user} -- /bin/sh -c {shlex.quote(rest)}')
            if done.returncode:
                raise BuildError(f'{line}: {done.stdout}{done.stderr}')
        elif instruction == 'COPY':
            option, source, target = words
            stage = stages[option.partition('--from=')[2]]
            shutil.copytree(str(stage.tree.path(source)), str(now.tree.path(target)), dirs_exist_ok=True)
        else:
            raise BuildError(f'unknown instruction: {line}')
    return user

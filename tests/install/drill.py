"""What every platform has to show with its lines, whatever they are."""

from __future__ import annotations

from .page import platforms
from .places import Place, hide, show_again


def drill(platform: str, place: Place) -> None:
    """Run the lines of a platform where Patroni is and this package is not.

    What verifies fails there first. It succeeds after the install lines, prints what the page says, fails without the
    start-up files, and fails after the way back, which leaves no file that is named after this package.
    """
    blocks = platforms()[platform]
    by_role = {role: [block for block in blocks if block.role == role] for role in ('install', 'verify', 'back')}
    assert all(by_role.values()), f'{platform} lacks one of {list(by_role)}'
    (verify,) = by_role['verify']
    known = set(place.left())
    for block in [*by_role['verify'], *(block for block in blocks if block.role == 'refused')]:
        done = place.run(block)
        assert done.returncode, f'line {block.line} succeeds without the package: {done.stdout}'
    for block in blocks:
        if block.role == 'show':
            done = place.run(block)
            assert done.returncode == 0 and done.stdout, f'line {block.line}: {done.stderr}'
    for block in by_role['install']:
        done = place.run(block)
        assert done.returncode == 0, f'line {block.line}: {done.stdout}{done.stderr}'
    done = place.run(verify)
    assert done.returncode == 0, f'line {verify.line}: {done.stdout}{done.stderr}'
    for block in blocks:
        if block.role == 'output':
            assert done.stdout == block.text, f'line {block.line}: {done.stdout}'
    hidden = hide(place.left())
    assert hidden, 'the start-up files are nowhere'
    assert place.run(verify).returncode, f'line {verify.line} does not see that the start-up files are missing'
    show_again(hidden)
    assert place.run(verify).returncode == 0
    for block in by_role['back']:
        done = place.run(block)
        assert done.returncode == 0, f'line {block.line}: {done.stdout}{done.stderr}'
    assert place.run(verify).returncode, f'line {verify.line} succeeds after the way back'
    left = set(place.left()) - known
    assert not left, left

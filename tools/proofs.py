"""The tests on real servers that findings name as their proof: ``python -m tools.proofs`` prints them, for pytest."""

from __future__ import annotations

from patroni_etcd3_compat.check.findings import kinds


def proofs() -> list[str]:
    """Return the tests, each once, in the order of the findings."""
    return list(dict.fromkeys(test for kind in kinds() for test in (*kind.proved, *kind.shown)))


if __name__ == '__main__':
    print(*proofs(), sep='\n')

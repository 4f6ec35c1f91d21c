"""What is left of a time-out after the version of a member was asked within it."""
import pytest

from urllib3 import Timeout

from patroni_etcd3_compat.timeouts import bounded, less, seconds


@pytest.mark.parametrize('timeout, spent, total, connect', [
    (Timeout(connect=1, total=3), 1, 2, 1),
    (Timeout(connect=2, total=3), 2.5, 0.5, 0.5),
    (Timeout(connect=1, total=3), 3, 0.3, 0.3),
    (Timeout(connect=1, total=3), 100, 0.3, 0.3),
    (Timeout(total=4), 1, 3, 3),
])
def test_what_was_spent_is_taken_off(timeout: Timeout, spent: float, total: float, connect: float) -> None:
    """And at least a tenth stays, as urllib3 takes no time-out of zero."""
    left = less(timeout, spent)
    assert (left.total, left.connect_timeout) == (pytest.approx(total), pytest.approx(connect))


@pytest.mark.parametrize('timeout', [None, 5, Timeout(connect=3, read=None)])
def test_what_has_no_total_stays(timeout: object) -> None:
    """A watch is not cut short."""
    assert less(timeout, 2) is timeout


def test_question_within_a_watch_is_bounded() -> None:
    """The watch waits for ever, the question for the version does not."""
    timeout = bounded(Timeout(connect=3, read=None))
    assert timeout.total == 3
    other = Timeout(connect=1, total=2)
    assert bounded(other) is other


@pytest.mark.parametrize('timeout, expected', [(Timeout(total=3), 3), (4, 4), (None, 10), (Timeout(connect=3), 10)])
def test_seconds(timeout: object, expected: float) -> None:
    """How long one thread waits for another one."""
    assert seconds(timeout) == expected

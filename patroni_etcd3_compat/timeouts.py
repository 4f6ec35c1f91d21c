"""Time-outs of urllib3: what is left of one after a part of it was spent on something else."""
from typing import Any, Optional

from urllib3.util import Timeout

#: Seconds to wait where a request came without a time-out.
_DEFAULT = 10.0


def _number(value: Any) -> Optional[float]:
    return float(value) if isinstance(value, (int, float)) else None  # urllib3 has a marker for "the default", too


def bounded(timeout: Any) -> Any:
    """Give a time-out that has no limit for reading, as watches have, the one for connecting.

    :param timeout: seconds, or :class:`urllib3.util.Timeout`.
    """
    if isinstance(timeout, Timeout) and timeout.total is None and timeout.read_timeout is None:
        return Timeout(total=timeout.connect_timeout)
    return timeout


def seconds(timeout: Any) -> float:
    """The whole of a time-out.

    :param timeout: seconds, or :class:`urllib3.util.Timeout`.
    """
    return _number(timeout.total if isinstance(timeout, Timeout) else timeout) or _DEFAULT


def less(timeout: Any, spent: float) -> Any:
    """Take what was spent off a time-out; a tenth of it always remains.

    :param timeout: seconds, or :class:`urllib3.util.Timeout`; one without a total is returned as it is.
    :param spent: seconds.
    """
    whole = _number(timeout.total) if isinstance(timeout, Timeout) else None
    if whole is None:
        return timeout
    left = max(whole - spent, whole / 10)
    return Timeout(connect=min(_number(timeout.connect_timeout) or left, left), total=left)

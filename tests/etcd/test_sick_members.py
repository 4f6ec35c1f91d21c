"""Members that hang, refuse, reset or answer garbage cost no more than Patroni's own time-outs, and no loop fails."""

from __future__ import annotations

import re
import threading
import time
from typing import Any, Callable

import etcd
import pytest

from lab.facade import Fault
from lab.ports import free_port

_CALLS = '^/(v3|grpc)'  # all but the question for the version, which over gRPC is a call as well
FAULTS: list[Any] = [
    Fault(path=_CALLS, times=1000, status=502, headers={'Content-Type': 'text/html'}, body=b'<html>Bad Gateway</html>'),
    Fault(path=_CALLS, times=1000, status=200, headers={'Content-Type': 'application/json'}, body=b'{"header":'),
    Fault(path=_CALLS, times=1000, status=200, headers={}, body=b'404'),
    Fault(path=_CALLS, times=1000, reset='before'),
    Fault(path=_CALLS, times=1000, cut_after=5),
]


@pytest.mark.parametrize('versions', [['3.2', '3.2', '3.4'], ['3.3', '3.4', '3.5']], ids='+'.join)
def test_frozen_member(start: Callable[..., Any], connect: Callable[..., Any], versions: list[str]) -> None:
    """A frozen member in use costs one of Patroni's time-outs per member and no additional one of ours."""
    cluster = start(versions)
    dcs = connect(cluster.hosts)
    assert dcs.acquire()
    per_member = dcs.config['retry_timeout'] / 3  # seconds

    def hold(number: int) -> None:
        leads = cluster.leads(number)
        cluster.members[number].freeze()
        started = time.monotonic()
        assert dcs.update_leader(dcs.dcs.cluster)
        # no member serves while they elect another leader
        assert time.monotonic() - started < (4 if leads else 2) * per_member

    for number, member in enumerate(cluster.members):
        dcs.use(member.url)
        assert dcs.loop()
        cluster.wait_healthy(30)  # the others have caught up
        try:
            hold(number)
            dcs.touch(frozen=member.name)
            assert dcs.loop()
        finally:
            member.thaw()
        cluster.wait_healthy(30)
        # it is known to have failed, so it is first asked for its version, within the time of the call
        dcs.client.set_base_uri(member.url)
        try:
            hold(number)
        finally:
            member.thaw()
        cluster.wait_healthy(30)
        assert dcs.loop() or dcs.loop()


@pytest.mark.parametrize('fault', FAULTS, ids=['html', 'cut', 'number', 'reset', 'half'])
def test_rubbish(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    """The next member is used; the log has an error of urllib3 or one that names the member."""
    cluster = start(['3.4', '3.4', '3.5'], facade=True)
    dcs = connect(cluster.hosts)
    assert dcs.acquire()
    for member in cluster.members:
        dcs.use(member.url)
        assert dcs.loop()
        member.facade.faults.append(fault)
        caplog.clear()
        assert dcs.update_leader()
        dcs.touch(sick=member.name)
        assert dcs.loop() and dcs.loop()
        assert dcs.client._base_uri != member.url
        for text in ('AttributeError', 'KeyError', 'TypeError', 'IndexError', 'BUG'):
            assert text not in caplog.text
        if fault.status and fault.status < 500 or fault.body:
            # the version is asked for in the background, so a first call can fail before it is known
            named = rf'etcd member {re.escape(member.url)} \(version ({member.version}|unknown)\)'
            assert re.search(rf'(UnexpectedAnswer\({named} answered /v3/|NoGrpc\({named} answered /etcd)', caplog.text)
        member.facade.faults.clear()


def test_no_member_list(
    start: Callable[..., Any], connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no member can be reached, a call in any thread looks for the member list once and then fails."""
    cluster = start(['3.5'])
    dcs = connect(cluster.hosts + [f'127.0.0.1:{free_port()}' for _ in range(2)])
    assert dcs.acquire()
    client, looks, failures = dcs.client, [], []
    load = client._load_machines_cache

    def look() -> Any:
        looks.append(threading.current_thread())
        return load()

    def call() -> None:
        try:
            client.call_rpc('/kv/range', {'key': 'eA=='})
        except Exception as e:
            failures.append(e)

    cluster.members[0].kill()
    call()
    client._update_machines_cache = True  # as after a call with a retry has failed
    monkeypatch.setattr(client, '_load_machines_cache', look)
    call()
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert looks.count(threading.current_thread()) == looks.count(thread) == 1  # the watch may look as well
    assert len(failures) == 3 and all(isinstance(failure, etcd.EtcdException) for failure in failures), failures

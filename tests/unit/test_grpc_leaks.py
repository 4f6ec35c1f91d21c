"""Many calls, many broken connections and many threads leave nothing behind."""

from __future__ import annotations

import base64
import gc
import json
import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from hyperframe.frame import SettingsFrame

from lab import ROOT
from tests.examples import examples
from tests.unit.grpc_client import KNOWN, Client
from tests.unit.grpc_server import BEGUN, DOCUMENT, Peer, Script, goaway, reset, serving

#: Calls, and broken connections: 10,000 and 200 in CI. Python 3.8 keeps 280 pieces however many calls there are.
CALLS, BROKEN = max(examples(10_000), 2000), max(examples(200), 40)


def descriptors() -> int:
    """Return how many files and sockets this process has open."""
    gc.collect()
    return len(os.listdir('/proc/self/fd'))


def blocks() -> int:
    """Return how many pieces of memory Python has allocated."""
    gc.collect()
    return sys.getallocatedblocks()


def breaks(number: int) -> Script:
    """Make a script that breaks a connection in one of several ways."""

    def script(peer: Peer) -> None:
        request = peer.request()
        way = number % 5
        if way == 1:
            peer.send(SettingsFrame(0), reset(request.stream, 2))
        elif way == 2:
            peer.send(SettingsFrame(0), peer.headers(request.stream, BEGUN), goaway(request.stream))
        elif way == 3:
            peer.sock.sendall(b'HTTP/1.1 200 OK\r\n\r\n')
        elif way == 4:
            peer.send(SettingsFrame(0), *peer.answer(request.stream, b'\x01\0\0\0\0'))

    return script


def measure(many: int, more: int) -> list[int]:
    """Count after some calls, after many more, and after broken connections.

    :param many: calls.
    :param more: broken connections.

    :returns: pieces of memory three times, descriptors before and after, and idle connections.
    """
    with serving() as server:
        client = Client(server.url)

        def calls(number: int) -> None:
            for _ in range(number):
                assert client.range(headers={'authorization': 'se3ret'}) == DOCUMENT
            server.requests.clear()

        def broken(number: int) -> None:
            client.grpc.clear()
            server.scripts[:] = [breaks(n) for n in range(number)]
            for _ in range(number):
                with pytest.raises(KNOWN):
                    client.range()
            server.requests.clear()

        calls(100)
        broken(20)
        calls(100)
        files = descriptors()
        calls(100)
        memory = [blocks()]
        calls(many)
        memory.append(blocks())
        broken(more)
        calls(100)
        memory.append(blocks())
        return [*memory, files, descriptors(), client.idle]


def test_memory_and_descriptors() -> None:
    """Memory and file descriptors after many calls and broken connections are as after a few.

    In an interpreter of its own, without coverage: what other tests leave behind or give back would count, too, and so
    would what coverage keeps of each thread of the server.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith('COVERAGE')}
    code = f'from tests.unit.test_grpc_leaks import measure; print(*measure({CALLS}, {BROKEN}))'
    ended = subprocess.run(
        [sys.executable, '-c', code], cwd=str(ROOT), env=env, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    memory, after_calls, after_broken, files, files_after, idle = map(int, ended.stdout.split())
    assert after_calls < memory + CALLS // 5  # a piece for each call would be more
    assert after_broken < memory + CALLS // 5
    assert files_after <= files + 2
    assert idle == 1


def test_threads() -> None:
    """Several threads share a transport: each gets its own answers, while connections break and are cleared."""
    wrong: list[Any] = []
    failed: list[BaseException] = []

    def echoes(peer: Peer) -> None:
        peer.send(SettingsFrame(0))
        for _ in range(40):
            request = peer.request()
            # the key that was asked for comes back as the key of the answer
            key = request.message[5:]
            body = b'\x0a\x02\x18\x07\x12' + bytes((len(key),)) + key
            peer.send(*peer.answer(request.stream, b'\0' + len(body).to_bytes(4, 'big') + body))

    def work(name: int) -> None:
        for number in range(50):
            key = base64.b64encode(f'{name}-{number}'.encode()).decode()
            try:
                reply = client.send('/kv/range', {'key': key})
            except KNOWN as e:
                failed.append(e)
                continue
            if json.loads(reply.data)['kvs'][0]['key'] != key:
                wrong.append(key)

    with serving(*[echoes] * 400) as server:
        client = Client(server.url)
        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            client.grpc.clear()
            threads[0].join(0.02)
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert not wrong and client.idle <= 8
    # A connection that the server closes just when a call goes out fails that call; there is no more to it.
    assert len(failed) < 100

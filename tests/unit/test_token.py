"""The token is renewed when it was refused, sent with each call, and shown nowhere."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any, Callable

import pytest

from patroni_etcd3_compat import deadline
from patroni_etcd3_compat.answers import TOKEN_REFUSED, Answer
from patroni_etcd3_compat.auth import AuthPool, Secret
from patroni_etcd3_compat.errors import LoginPending, TakesNoToken, unexecuted
from patroni_etcd3_compat.member import Member

URL = 'http://member:2379'


class Gateway:
    """A gateway that accepts the token ``good`` and gives it to whoever knows the password."""

    def __init__(self, version: str = '3.5.30', enabled: bool = True) -> None:
        self.calls: list[tuple[str, str | None]] = []
        self.known = Member(URL, None)
        self.known.learned(version)
        self.enabled = enabled
        self.refusal = TOKEN_REFUSED[1]

    def get(self, url: str) -> Member:
        """Return what is known about the member."""
        assert url == URL
        return self.known

    def urlopen(self, method: str, url: str, headers: dict[str, str], body: str = '', **kwargs: Any) -> Answer:
        """Answer a call."""
        token = headers.get('authorization')
        self.calls.append((url[len(URL) :], token))
        if url.endswith('/authenticate'):
            if not self.enabled:
                return Answer(400, b'', 9, 'etcdserver: authentication is not enabled')
            if json.loads(body)['password'] != 'right':
                return Answer(400, b'', 3, 'etcdserver: authentication failed, invalid user ID or password')
            return Answer(200, b'{"token": "good"}')
        return Answer(200, b'{}') if not self.enabled or token == 'good' else Answer(401, b'', 16, self.refusal)


def pool(gateway: Gateway, password: str | None = 'right') -> AuthPool:
    """A pool in front of it."""
    return AuthPool(gateway, gateway, lambda: ('name', password))  # type: ignore[arg-type]


def put(auth: AuthPool) -> Answer:
    """Send a call whose headers contain the token that Patroni got earlier."""
    answer = auth.urlopen('POST', URL + '/v3/kv/put', headers={'authorization': 'old'}, body='{}')
    assert isinstance(answer, Answer)
    return answer


@pytest.mark.parametrize('refusal', TOKEN_REFUSED)
def test_refused_token_is_renewed_and_the_call_sent_once_more(refusal: str) -> None:
    """A refused token is renewed and the call repeated once; the next call has the new token."""
    gateway = Gateway()
    gateway.refusal = refusal
    auth = pool(gateway)
    assert put(auth).status == 200 and put(auth).status == 200
    assert gateway.calls == [
        ('/v3/kv/put', None),
        ('/v3/auth/authenticate', None),
        ('/v3/kv/put', 'good'),
        ('/v3/kv/put', 'good'),
    ]


def test_refused_again_is_handed_on() -> None:
    """A second refusal is passed on and causes no endless loop."""
    gateway = Gateway()
    auth = pool(gateway)
    refusal = Answer(401, b'', 16, TOKEN_REFUSED[1])
    gateway.urlopen = lambda *args, **kwargs: (  # type: ignore[method-assign]
        Answer(200, b'{"token": "good"}') if args[1].endswith('/authenticate') else refusal
    )
    assert put(auth).error == TOKEN_REFUSED[1]


def test_wrong_password_is_what_patroni_gets_to_see() -> None:
    """Patroni gets the wrong password as the reason instead of the refusal."""
    assert 'authentication failed' in put(pool(Gateway(), 'wrong')).error


def test_no_password_no_attempt() -> None:
    """Without a password, the refusal is passed on."""
    gateway = Gateway()
    assert put(pool(gateway, None)).status == 401 and len(gateway.calls) == 1


def test_other_errors_are_handed_on() -> None:
    """Other errors, such as permission denied, are answers and passed on."""
    gateway = Gateway()
    gateway.refusal = 'etcdserver: permission denied'
    assert put(pool(gateway)).status == 401 and len(gateway.calls) == 1


def test_auth_turned_off_meanwhile() -> None:
    """The token is dropped when authentication was turned off."""
    gateway = Gateway(enabled=False)
    auth = pool(gateway)
    auth.token = Secret('stale')
    gateway.enabled = True
    enabled = iter([True, False, False])
    urlopen = gateway.urlopen

    def changing(*args: Any, **kwargs: Any) -> Answer:
        gateway.enabled = next(enabled)
        return urlopen(*args, **kwargs)

    gateway.urlopen = changing  # type: ignore[method-assign]
    assert put(auth).status == 200 and auth.token is None


def test_member_that_takes_no_token(caplog: pytest.LogCaptureFixture) -> None:
    """A member that accepts no token counts as unusable and is used last; the log says so once."""
    gateway = Gateway('3.2.26')
    for _ in range(2):
        with pytest.raises(TakesNoToken, match=URL):
            put(pool(gateway))
    assert len(gateway.calls) == 2 and gateway.known.wants_token
    assert [r.getMessage() for r in caplog.records] == [
        'etcd member http://member:2379 (version 3.2.26) cannot be used with authentication (its gateway takes tokens '
        'from 3.3 on); using it only as a last resort'
    ]


def test_nobody_waits_for_a_login_past_the_deadline() -> None:
    """The HA loop does not wait past its deadline for another thread's login."""
    gateway = Gateway()
    auth = pool(gateway)
    with auth._lock, deadline.within(0.05), pytest.raises(LoginPending) as e:
        put(auth)
    assert unexecuted(e.value) and [path for path, _ in gateway.calls] == ['/v3/kv/put']


def test_secret_shows_nowhere() -> None:
    """A secret does not appear anywhere, not even by accident."""
    secret = Secret('abc')
    assert [
        str(secret),
        repr(secret),
        '%s %r' % (secret, secret),  # noqa: UP031
        f'{secret} {secret!r}',
        f'{secret}',
    ] == ['***', '***', '*** ***', '*** ***', '***']
    assert [
        format(secret),
        format(secret, '>5'),
        f'{secret!s:>5}',
        '%5s' % secret,  # noqa: UP031
        str([secret]),
        f'{[secret]}',
    ] == ['***', '  ***', '  ***', '  ***', '[***]', '[***]']
    assert secret == 'abc' and secret.encode() == b'abc'


def test_secret_is_whole_where_it_is_sent() -> None:
    """JSON contains the secret, since it is the body of a call, not a log."""
    assert json.dumps({'token': Secret('abc')}) == '{"token": "abc"}'
    assert json.dumps({'token': Secret('abc')}, indent=1) == '{\n "token": "abc"\n}'  # not by the C encoder
    assert 'Bearer ' + Secret('abc') == 'Bearer abc'


@pytest.mark.parametrize('again', [Secret, copy.copy, copy.deepcopy, lambda secret: pickle.loads(pickle.dumps(secret))])
def test_secret_stays_the_same_secret(again: Callable[[Secret], Secret]) -> None:
    """A secret that Patroni sets again, having got no new token, stays the same."""
    secret = again(again(Secret('abc')))
    assert type(secret) is Secret
    assert secret == 'abc' and secret.encode() == b'abc' and str(secret) == '***'

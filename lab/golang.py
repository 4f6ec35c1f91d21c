"""etcd built from its Go module, for release lines that no package of the distribution provides.

``go install`` refuses the module because of its replace directives. So a separate module with a one-line main is built.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from . import say
from .apt import run

ETCD_VERSIONS = ('3.6.16', '3.7.3')
"""One of each line, the newest that the Go module proxy served when this was written."""

_MODULE = """\
module lab/etcd

go 1.21

require go.etcd.io/etcd/server/v3 v{0}
"""

_CLIENTS_MODULE = """\
module lab/clients

go 1.21

require go.etcd.io/etcd/etcdctl/v3 v{0}
require go.etcd.io/etcd/etcdutl/v3 v{0}
"""

_MAIN = """\
package main

import "os"
import "go.etcd.io/etcd/server/v3/etcdmain"

func main() { etcdmain.Main(os.Args) }
"""


def at_hand() -> bool:
    """Return whether there is a Go toolchain on PATH."""
    return shutil.which('go') is not None


def build_etcd(version: str, folder: Path) -> Path:
    """Build one etcd server. This needs the network, and takes one to two minutes on two cores.

    :param version: as the module has it, without the ``v``.
    :param folder: an empty folder for everything that Go downloads, caches and writes.
    :returns: the binary, in that folder.
    :raises LabError: when it cannot be built; the text is the last line of Go's output.
    """
    say(f'building etcd {version} with Go')
    source, binary = folder / 'source', folder / 'etcd'
    source.mkdir()
    (source / 'go.mod').write_text(_MODULE.format(version))
    (source / 'main.go').write_text(_MAIN)
    _build(source, folder, binary, '.')
    return binary


def build_clients(version: str, folder: Path) -> Path:
    """Build etcdctl and etcdutl of one release. This needs the network, and takes up to a minute on two cores.

    :param version: as the modules have it, without the ``v``.
    :param folder: an empty folder for everything that Go downloads, caches and writes.
    :returns: the folder with both, in that folder.
    :raises LabError: when they cannot be built; the text is the last line of Go's output.
    """
    say(f'building etcdctl and etcdutl {version} with Go')
    source, binaries = folder / 'source', folder / 'bin'
    source.mkdir()
    binaries.mkdir()
    (source / 'go.mod').write_text(_CLIENTS_MODULE.format(version))
    for name in ('etcdctl', 'etcdutl'):
        _build(source, folder, binaries / name, f'go.etcd.io/etcd/{name}/v3')
    return binaries


def _build(source: Path, folder: Path, binary: Path, package: str) -> None:
    # -modcacherw: otherwise Go makes downloaded modules read-only, and the folder cannot be removed afterwards.
    run(
        [
            'go',
            'build',
            '-mod=mod',
            '-modcacherw',
            '-buildvcs=false',
            '-trimpath',
            '-ldflags=-s -w',
            '-o',
            str(binary),
            package,
        ],
        source,
        GOPATH=str(folder / 'path'),
        GOMODCACHE=str(folder / 'modules'),
        GOCACHE=str(folder / 'objects'),
        GOTMPDIR=str(folder),
        GOWORK='off',
        CGO_ENABLED='0',
        GOENV=_user_settings(),
        XDG_CONFIG_HOME=str(folder / 'config'),
    )  # the last one: Go counts its own use there


def _user_settings() -> str:
    """Return the file that ``go env -w`` writes to: a proxy that is set there is used here as well."""
    config = os.environ.get('XDG_CONFIG_HOME') or os.path.expanduser('~/.config')
    return os.environ.get('GOENV') or os.path.join(config, 'go', 'env')

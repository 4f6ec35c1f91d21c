"""How a member of etcd is made to take a snapshot of its log, so that it no longer replays what is before it. Data.

For the finding about v2 requests and the steps of a plan. The figures were measured with 3.5.30 and 3.6.16.
"""

from __future__ import annotations

#: So many entries are between two snapshots of a member that is started with :data:`OPTION`.
_ENTRIES = 5

OPTION = f'--snapshot-count={_ENTRIES}'

#: The same in the environment and in a configuration file.
ALSO = f'ETCD_SNAPSHOT_COUNT={_ENTRIES}, or snapshot-count: {_ENTRIES} in a configuration file'

#: How often a key has to be written and deleted until such a member has taken several snapshots.
WRITES = 15

#: The metric that counts snapshots since the start of a member, and how many there have to be. The first may be taken
#: before all of the old log is applied; the next one may not, because it covers what the first one does not.
TAKEN = 'etcd_debugging_snap_save_total_duration_seconds_count'
LEAST = 2

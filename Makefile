# The commands of this project; `make help` lists them. Everything is installed below this folder (.venv, .cache).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

help:  ## list the targets
	@grep -hE '^[a-z -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/installed  ## the main job on real servers: a mixed etcd cluster, stock Patroni failing, ours running
	$(BIN)/python -m examples.demo

# Tests mostly wait, so LANES targets run side by side, each with WORKERS processes. The output of a target is printed in one
# piece. Coverage is that of all targets together, including the interpreters that they start.
LANES ?= 3
WORKERS ?= 2
SIDE_BY_SIDE = $(BIN)/pytest -q -n $(WORKERS) --dist loadfile
export COVERAGE_FILE = $(CURDIR)/.cache/coverage/data
ifdef COVERAGE
export COVERAGE_PROCESS_START = $(CURDIR)/setup.cfg
endif

test: $(VENV)/installed  ## everything that must pass, and its coverage (about 17 minutes on two cores)
	rm -rf .cache/coverage
	mkdir -p .cache/coverage
	$(MAKE) COVERAGE=yes --jobs $(LANES) --output-sync=target test-all
	$(MAKE) coverage

# The longest targets start early.
test-all: lint binaries test-unit test-docs test-oldest test-etcd test-check test-patched test-patroni test-grpc test-mixed \
	test-upstream test-upstream-patches test-contrib test-release

# Go takes minutes to build the newest etcd: beside the tests that do not need it, and at a lower priority.
binaries: $(VENV)/installed
	nice $(BIN)/python -c 'from lab import packages; print(*map(packages.etcd_version, packages.etcd_versions()))'

coverage: $(VENV)/installed  ## coverage of the package in the last `make test`; fails below the floor in setup.cfg
	if ls .cache/coverage/data.* >/dev/null 2>&1; then $(BIN)/coverage combine --quiet; fi
	$(BIN)/coverage report

lint: $(VENV)/installed  ## ruff, codespell, and mypy in strict mode
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/codespell -q 3 $$(git ls-files 2>/dev/null)
	$(BIN)/mypy

test-docs: $(VENV)/installed  ## the generated parts of docs/ are up to date
	$(BIN)/python -m tools.docs --check

docs: $(VENV)/installed  ## write the generated parts of docs/: the JSON schemas, the manuals, the example of check
	$(BIN)/python -m tools.docs

test-unit: $(VENV)/installed  ## no servers (25 seconds)
	$(BIN)/pytest -q -n $(WORKERS) tests/unit

test-etcd: $(VENV)/installed  ## real etcd
	$(SIDE_BY_SIDE) tests/etcd

test-etcd-grpc: $(VENV)/installed  ## test-etcd over gRPC, except for what concerns the gateway alone (about 6 minutes)
	$(SIDE_BY_SIDE) tests/etcd --transport=grpc

test-grpc: $(VENV)/installed  ## of test-etcd-grpc: mixed clusters, a storm, leaders whose etcd falls silent (2 minutes)
	$(SIDE_BY_SIDE) tests/etcd/test_mixed_cluster.py tests/etcd/test_storm.py tests/etcd/test_lets_go.py --transport=grpc

test-patroni: $(VENV)/installed  ## the newest Patroni with PostgreSQL, and how it finds the class
	$(SIDE_BY_SIDE) tests/patroni

test-mixed: $(VENV)/installed  ## releases of Patroni side by side: pg_wal of a replica on 4.0.2 under a leader on 3.2.1 (a minute)
	$(BIN)/pytest -q tests/mixed/test_replica_wal.py

# What takes longest of the proofs is left to `make proofs` and `make soak`.
test-check: $(VENV)/installed  ## the command patroni-etcd3-compat on real clusters
	$(SIDE_BY_SIDE) tests/check --ignore tests/check/test_plan_other_ways.py --ignore tests/check/test_plan_down.py \
		--ignore tests/check/test_outages_patroni.py --ignore tests/check/test_consequences.py \
		--ignore tests/check/test_consequences_patroni.py

test-contrib: $(VENV)/installed  ## contrib/ in Prometheus, node_exporter, Nagios and Icinga from packages, on a real cluster (a minute)
	$(BIN)/pytest -q tests/contrib

proofs: $(VENV)/installed  ## the tests on real servers that docs/findings.md names as the proof of a finding (about 12 minutes)
	$(SIDE_BY_SIDE) $$($(BIN)/python -m tools.proofs)

test-oldest: $(VENV)/installed  ## unit and etcd tests, and Patroni's own, under Debian 12's Patroni and urllib3 1.26
	$(BIN)/python -m tools.matrix 3.0.2+1.26

test-upstream: $(VENV)/installed  ## Patroni's own etcd tests with our classes, newest release, also over gRPC
	$(BIN)/python -m tools.upstream
	$(BIN)/python -m tools.upstream --transport grpc

test-upstream-patches: $(VENV)/installed  ## the patches for Patroni itself, on its own tests and linters (a minute)
	$(BIN)/pytest -q -n $(WORKERS) tests/upstream_patches

test-patched: $(VENV)/installed  ## patches/ is up to date and applies; the oldest patched Patroni works
	$(SIDE_BY_SIDE) tests/patches

test-patches: $(VENV)/installed  ## all tests of each patched Patroni, including Debian's packages (about 40 minutes)
	$(BIN)/pytest -q tests/patches --all-releases
	$(BIN)/python -m tools.matrix --patched

dist: $(VENV)/installed  ## build wheel and source distribution of the last commit into dist/, always the same bytes
	$(BIN)/python -m tools.dist

deb rpm: $(VENV)/installed  ## build the package for Debian, for RPM, of the last commit into dist/
	$(BIN)/python -m tools.packages $@

test-release: $(VENV)/installed  ## what is uploaded: complete, reproducible, accepted by an index (a minute)
	$(BIN)/pytest -q tests/release

test-packages: $(VENV)/installed  ## the packages for Debian and RPM, installed in a Debian 12 of their own (as root; 4 minutes, then 2)
	$(BIN)/pytest -q -ra tests/packages

test-packages-all: $(VENV)/installed  ## test-packages on Debian 11 to sid, with an upgrade from 12 to 13 (about 10 minutes)
	$(BIN)/pytest -q -ra tests/packages --all-suites

test-install: $(VENV)/installed  ## the lines of docs/install.md for environments: pip, uv, pipx, PyInstaller (3 minutes)
	$(BIN)/pytest -q tests/install

test-install-all: $(VENV)/installed  ## all lines of docs/install.md, those for whole machines in a Debian of their own (as root; 10 minutes)
	$(BIN)/pytest -q tests/install --all-platforms

patches: $(VENV)/installed  ## regenerate patches/ from the package's modules
	$(BIN)/python -m tools.patching

matrix: $(VENV)/installed  ## test-etcd-grpc, every available Python and release line of Patroni, and test-patches (about 90 minutes)
	$(MAKE) test-etcd-grpc
	$(BIN)/python -m tools.pythons
	$(BIN)/python -m tools.served
	$(BIN)/python -m tools.matrix
	$(MAKE) test-packages-all test-install-all
	$(MAKE) test-patches

soak: $(VENV)/installed  ## every order of upgrade, rollback and loss of etcd members under a running Patroni (about an hour)
	$(BIN)/pytest -q tests/soak
	$(BIN)/pytest -q tests/check/test_plan_other_ways.py tests/check/test_plan_down.py

soak-mixed: $(VENV)/installed  ## test-mixed through switchovers, upgrades, outages and odd members (about 20 minutes)
	$(BIN)/pytest -q tests/mixed

bench: $(VENV)/installed  ## the cost of a call: stock, this package and bare HTTP clients (about 5 minutes)
	$(BIN)/python -m bench

bench-scale: $(VENV)/installed  ## 500 clients on one mixed cluster, then an upgrade under them (about 5 minutes)
	$(BIN)/python -m bench.scale

bench-fleet: $(VENV)/installed  ## time and memory of check --all on 500 clusters, half of whose REST APIs are silent (a minute)
	$(BIN)/python -m bench.fleet

bench-silence: $(VENV)/installed  ## how long a leader is blocked when etcd falls silent, and when it lets go (about 15 minutes)
	$(BIN)/python -m bench.silence

$(VENV)/bin/python:
	PYTHON='$(PYTHON)' sh lab/bootstrap.sh $(VENV)

# Editable, so an edit of the package shows in the next run. The wheel itself is tested by tests/patroni/test_install.py and in
# the environments of other releases.
$(VENV)/installed: setup.cfg setup.py pyproject.toml patroni_etcd3_compat.pth patroni_etcd3_compat.start | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]' 'psycopg2-binary'
	rm -rf build
	touch $@

clean:  ## remove what was installed below this folder
	rm -rf $(VENV) .cache build *.egg-info .mypy_cache .pytest_cache .hypothesis

.PHONY: help demo test test-all binaries coverage lint docs test-docs test-unit test-etcd test-etcd-grpc test-grpc test-patroni test-mixed \
	test-check proofs test-oldest test-upstream test-contrib test-upstream-patches test-patched test-patches test-release test-packages test-packages-all test-install test-install-all dist deb rpm patches matrix soak soak-mixed bench bench-scale bench-fleet bench-silence clean

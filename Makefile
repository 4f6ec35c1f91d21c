# The commands of this project; `make help` lists them. Everything is installed below this folder (.venv, .cache).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/installed  ## the main job on real servers: a mixed etcd cluster, stock Patroni failing, ours running
	$(BIN)/python -m examples.demo

test: lint test-unit test-etcd test-patroni test-mixed test-check test-oldest test-upstream test-upstream-patches test-patched  ## what must pass (about 20 minutes)

lint: $(VENV)/installed  ## ruff, codespell, and mypy in strict mode
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/codespell -q 3 $$(git ls-files ':!:*.json' ':!:patches/*.patch')
	$(BIN)/mypy patroni_etcd3_compat lab tools examples bench tests

docs: $(VENV)/installed  ## write what is generated in docs/: the JSON schemas and the manuals
	$(BIN)/python -m tools.docs

test-unit: $(VENV)/installed  ## no servers (half a minute)
	$(BIN)/pytest -q -n 2 tests/unit

test-etcd: $(VENV)/installed  ## real etcd
	$(BIN)/pytest -q -n 2 --dist loadfile tests/etcd

test-patroni: $(VENV)/installed  ## the newest Patroni with PostgreSQL, and how it finds the class
	$(BIN)/pytest -q -n 2 --dist loadfile tests/patroni

test-mixed: $(VENV)/installed  ## releases of Patroni side by side: pg_wal of a replica on 4.0.2 under a leader on 3.2.1 (a minute)
	$(BIN)/pytest -q tests/mixed/test_replica_wal.py

test-check: $(VENV)/installed  ## the command patroni-etcd3-compat on real clusters
	$(BIN)/pytest -q -n 2 --dist loadfile tests/check --ignore tests/check/test_plan_other_ways.py

test-oldest: $(VENV)/installed  ## unit and etcd tests, and Patroni's own, under Debian 12's Patroni and urllib3 1.26
	$(BIN)/python -m tools.matrix 3.0.2+1.26

test-upstream: $(VENV)/installed  ## Patroni's own etcd tests with our classes, newest release
	$(BIN)/python -m tools.upstream

test-upstream-patches: $(VENV)/installed  ## the patches for Patroni itself, on its own tests (20 seconds)
	$(BIN)/pytest -q -n 2 tests/upstream_patches

test-patched: $(VENV)/installed  ## patches/ is up to date and applies; the oldest of the patched Patronis at work
	$(BIN)/pytest -q -n 2 --dist loadfile tests/patches

test-patches: $(VENV)/installed  ## all about each patched Patroni, Debian's packages too (about 40 minutes)
	$(BIN)/pytest -q tests/patches --all-releases
	$(BIN)/python -m tools.matrix --patched

patches: $(VENV)/installed  ## make patches/ anew from the package's modules
	$(BIN)/python -m tools.patching

matrix: $(VENV)/installed  ## the same as test-oldest for every release line of Patroni, and test-patches (about 80 minutes)
	$(BIN)/python -m tools.matrix
	$(MAKE) test-patches

soak: $(VENV)/installed  ## every order of upgrade, rollback and loss of etcd members under a running Patroni (about an hour)
	$(BIN)/pytest -q tests/soak
	$(BIN)/pytest -q tests/check/test_plan_other_ways.py

soak-mixed: $(VENV)/installed  ## test-mixed through switchovers, upgrades, outages and odd members (about 20 minutes)
	$(BIN)/pytest -q tests/mixed

bench: $(VENV)/installed  ## what a call costs: stock, this package and bare HTTP clients (about 5 minutes)
	$(BIN)/python -m bench

bench-scale: $(VENV)/installed  ## 500 clients on one mixed cluster, then an upgrade under them (about 5 minutes)
	$(BIN)/python -m bench.scale

bench-silence: $(VENV)/installed  ## how long a leader is blocked when etcd falls silent, and when it lets go (about 15 minutes)
	$(BIN)/python -m bench.silence

$(VENV)/bin/python:
	PYTHON='$(PYTHON)' sh lab/bootstrap.sh $(VENV)

# Editable: an edit of the package shows in the next run. The wheel itself is tested by tests/patroni/test_install.py and
# in the environments of other releases.
$(VENV)/installed: setup.cfg setup.py pyproject.toml patroni_etcd3_compat.pth patroni_etcd3_compat.start | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]' 'psycopg2-binary'
	rm -rf build
	touch $@

clean:  ## remove what was installed below this folder
	rm -rf $(VENV) .cache build *.egg-info .mypy_cache .pytest_cache .hypothesis

.PHONY: help demo test lint docs test-unit test-etcd test-patroni test-mixed test-check test-oldest test-upstream \
	test-upstream-patches test-patched test-patches patches matrix soak soak-mixed bench bench-scale bench-silence clean

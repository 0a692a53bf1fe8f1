# Two commands matter: `make demo` and `make test`. Both set up what they need.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
COLLECTION := collections/ansible_collections/mec/migration

.PHONY: help venv
help:  ## show this list
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

venv: $(VENV)/.ready  ## Python tools, in .venv
$(VENV)/.ready: pyproject.toml
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

.PHONY: demo
demo: lab-up  ## a Redis container moves between two edge hosts under a client that never stops writing
	$(BIN)/ansible-playbook -i inventories/lab mec.migration.prepare
	ANSIBLE_STDOUT_CALLBACK=phases $(BIN)/ansible-playbook -i inventories/lab playbooks/demo.yml
	@echo reports/demo/report.html
	@echo reports/demo/report.json

# Fast ones first, those that need no hosts two at a time. The testbeds are the tests' own and are gone afterwards.
.PHONY: test
test: venv  ## what CI runs: all tests but what is emulated or takes longer
	$(MAKE) --jobs=2 --output-sync=target units beside-units
	$(MAKE) e2e E2E_LAB=test
	$(MAKE) crash-sample E2E_LAB=test
	$(MAKE) loop E2E_LAB=test ARGS=--prepared
	$(MAKE) eda E2E_LAB=test ARGS=--prepared
	$(BIN)/ansible-playbook -i inventories/test playbooks/demo.yml -e demo_memory_mib=64
	$(MAKE) lab-down ARGS="-e testbed_name=test"
	$(MAKE) e2e-docker28
	$(MAKE) lab-down ARGS="-e testbed_name=docker28"

# One after the other: some install what they need from Debian, which goes only once at a time.
.PHONY: beside-units
beside-units: venv
	$(MAKE) lint
	$(MAKE) fuzz
	$(MAKE) model
	$(MAKE) pages
	$(MAKE) sanity
	$(MAKE) integration

# ARGS="-e testbed_name=dev -e testbed_suite=forky": see playbooks/roles/testbed.
.PHONY: lab-up lab-down
lab-up: venv  ## bring up the testbed of edge hosts
	$(BIN)/ansible-playbook playbooks/testbed.yml $(ARGS)

lab-down: venv  ## remove every trace of it
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_state=absent $(ARGS)

.PHONY: lint sanity units units-oldest pages integration release
lint: venv  ## ruff, mypy, ansible-lint (production, nothing skipped), the documentation, REUSE
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(COLLECTION) plugins tests
	PATH="$(CURDIR)/$(BIN):$$PATH" ansible-lint --offline --profile production
	PATH="$(CURDIR)/$(BIN):$$PATH" antsibull-docs lint-collection-docs --plugin-docs $(COLLECTION)
	$(BIN)/reuse --root $(COLLECTION) lint --quiet

sanity: venv  ## ansible-test sanity on the collection
	$(BIN)/python tests/quality/run_ansible_test.py sanity $(ARGS)

units: venv  ## unit tests of the collection
	PYTHONPATH=collections $(BIN)/pytest --quiet $(COLLECTION)/tests/unit tests/unit tests/crash tests/soak $(ARGS)

# An hour of each: FUZZ_SECONDS=3600.
FUZZ_SECONDS ?= 5
.PHONY: fuzz
fuzz: venv  ## damaged input for every reader of what comes from networks and disks
	PYTHONPATH=collections FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/pytest --quiet tests/fuzz $(ARGS)

pages: venv  ## pages of runs, in headless Chromium
	$(BIN)/ansible-playbook playbooks/browser.yml
	PYTHONPATH=collections $(BIN)/pytest --quiet tests/timeline $(ARGS)

integration: venv  ## the collection's integration targets, on this machine (no Docker, no CRIU)
	$(BIN)/python tests/quality/run_ansible_test.py integration --venv --allow-root $(ARGS)

release: venv  ## the collection's tarball from the last commit, in dist, its content checked
	$(BIN)/python tests/quality/release.py dist

.PHONY: model
model: venv  ## the protocol in the model checker spin: the old one shows its faults, the new one has none (a minute)
	$(BIN)/ansible-playbook playbooks/spin.yml
	$(BIN)/python tests/model/run.py $(ARGS)

units-oldest: venv  ## those of edge hosts' code, on the oldest Python that edge hosts may have
	$(BIN)/python tests/quality/run_ansible_test.py units --venv --python 3.9 tests/unit/plugins/module_utils/ $(ARGS)

# All points times all faults take half a day; what the results have already is not run again.
# One fault, some points: ARGS="--faults kill --points '*/journal.*'".
CRASH_LAB ?= crash
.PHONY: crash
crash: venv  ## a real move for each crash point and fault; writes docs/crash-points.md
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=$(CRASH_LAB) -e testbed_hosts=2
	$(BIN)/ansible-playbook -i inventories/$(CRASH_LAB) mec.migration.prepare
	$(BIN)/ansible-playbook -i inventories/$(CRASH_LAB) playbooks/deploy.yml -e service=redis-aof -e target=edge-a
	PYTHONPATH=tests:collections $(BIN)/python -m crash.run --inventory inventories/$(CRASH_LAB) $(ARGS)
	PYTHONPATH=tests:collections $(BIN)/python -m crash.run --inventory inventories/$(CRASH_LAB) --postcopy \
	  --page docs/crash-points.md $(ARGS)

# Some points: ARGS="--points '*/journal.*'". To begin no more after some time: ARGS="--minutes 60".
.PHONY: crash-power
crash-power: venv  ## power off and on at crash points, on virtual machines (emulated: minutes each); writes docs/crash-points.md
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=power -e testbed_kind=vm -e testbed_hosts=2
	$(BIN)/ansible-playbook -i inventories/power mec.migration.prepare
	$(BIN)/ansible-playbook -i inventories/power playbooks/deploy.yml -e service=redis-aof -e target=edge-a
	PYTHONPATH=tests:collections $(BIN)/python -m crash.power --inventory inventories/power \
	  --page docs/crash-points.md $(ARGS)

# Which ones the commit chooses.
CRASH_SAMPLE ?= 6
.PHONY: crash-sample
crash-sample: venv  ## some crash points that have held before, on a testbed that is ready (minutes)
	$(BIN)/ansible-playbook -i inventories/$(E2E_LAB) playbooks/deploy.yml -e service=redis-aof -e target=edge-a
	PYTHONPATH=tests:collections $(BIN)/python -m crash.run --inventory inventories/$(E2E_LAB) \
	  --sample $(CRASH_SAMPLE) --results reports/crash/sample.jsonl

# What to do again: ARGS="--seed 14". To end in time, whatever MOVES says: ARGS="--minutes 50".
SOAK_LAB ?= soak
MOVES ?= 1000
.PHONY: soak
soak: $(VENV)/.services  ## services go round three hosts under load while a nemesis picks faults (half a day; adds to docs/soak.md)
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=$(SOAK_LAB) -e testbed_hosts=3
	$(BIN)/ansible-playbook -i inventories/$(SOAK_LAB) mec.migration.prepare
	$(BIN)/ansible-playbook -i inventories/$(SOAK_LAB) playbooks/deploy.yml -e service=redis-aof -e target=edge-a
	$(BIN)/ansible-playbook -i inventories/$(SOAK_LAB) playbooks/deploy.yml -e service=web -e target=edge-a
	PYTHONPATH=tests:collections $(BIN)/python -m soak.run --inventory inventories/$(SOAK_LAB) --moves $(MOVES) \
	  --page docs/soak.md $(ARGS)

.PHONY: uffd
uffd: venv  ## the tracker uffd: 200 runs of services of all kinds, every page compared (minutes; as root, with redis-server)
	$(BIN)/pytest --quiet tests/uffd $(ARGS)

# On another testbed: E2E_LAB=dev. One test: ARGS="-k in_a_round". Hosts that are ready: ARGS=--prepared.
E2E_LAB ?= lab
.PHONY: e2e e2e-docker28 e2e-store e2e-experimental e2e-vm e2e-kernels e2e-arm64
e2e: venv  ## migrations and faults between real edge hosts (minutes)
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=$(E2E_LAB)
	$(BIN)/ansible-playbook playbooks/haproxy.yml
	$(BIN)/pytest tests/e2e --inventory inventories/$(E2E_LAB) $(ARGS)

.PHONY: hooks
hooks: venv  ## the examples of docs/hooks.md: HAProxy, nginx, DNS, a virtual address (minutes)
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=$(E2E_LAB)
	$(BIN)/ansible-playbook playbooks/hook_parts.yml
	$(BIN)/pytest tests/e2e/test_hooks.py -k haproxy -rP --inventory inventories/$(E2E_LAB) --services web $(ARGS)
	$(BIN)/pytest tests/e2e/test_hook_examples.py -m hooks -rP --inventory inventories/$(E2E_LAB) --services web $(ARGS)

# With recorded movement: ARGS="--trace-dir=<directory with cells.csv and trace.npz>".
.PHONY: loop
loop: venv  ## services follow users, two runs at once, a host is drained
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=$(E2E_LAB)
	$(BIN)/ansible-playbook -i inventories/$(E2E_LAB) mec.migration.prepare
	PYTHONPATH=collections $(BIN)/pytest tests/loop --inventory inventories/$(E2E_LAB) $(ARGS)

.PHONY: drain
drain: venv  ## twelve services leave a host, several at once and one after the other, compared (a quarter of an hour)
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=$(E2E_LAB)
	$(BIN)/ansible-playbook -i inventories/$(E2E_LAB) mec.migration.prepare
	MEC_DRAIN_SERVICES=12 PYTHONPATH=collections $(BIN)/pytest tests/loop/test_drain.py -rP --inventory inventories/$(E2E_LAB) $(ARGS)

# With what it needs, in .venv and from Debian: ansible-rulebook and Java.
.PHONY: eda
eda: $(VENV)/.eda  ## ansible-rulebook moves a service when its user has moved
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=$(E2E_LAB)
	$(BIN)/pytest tests/eda --inventory inventories/$(E2E_LAB) $(ARGS)

$(VENV)/.eda: $(VENV)/.ready
	$(BIN)/ansible-playbook playbooks/java.yml
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,eda]'
	@touch $@

# Once instead of ten times each: MEC_OPERATORS_TIMES=1.
.PHONY: operators
operators: venv  ## two people, or one and follow_users, move one service at once, 200 times (two hours)
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=operators -e testbed_hosts=3
	$(BIN)/pytest tests/e2e/test_operators.py -m operators -rP --inventory inventories/operators --services redis $(ARGS)

# Real services, there and back. One: ARGS="-k postgresql".
.PHONY: services
services: $(VENV)/.services  ## PostgreSQL, MariaDB, nginx, Java, Node, etcd and others move under load (half an hour)
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=services -e testbed_hosts=2
	$(BIN)/pytest tests/e2e/test_services.py -m services -rP --inventory inventories/services --services load $(ARGS)

$(VENV)/.services: $(VENV)/.ready
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,services]'
	@touch $@

# One host keeps images in overlay2, two in containerd: the first two serve for the mixed pair.
STORES := -e testbed_suite=forky -e testbed_hosts=3 -e testbed_image_store=overlay2,containerd,containerd
e2e-docker28: venv  ## migrations where Docker wires the network late, and between its two image stores
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=docker28 $(STORES)
	$(BIN)/pytest tests/e2e -m docker28 --inventory inventories/docker28 --services redis $(ARGS)

e2e-store: venv  ## all migrations between Docker's image stores (minutes)
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=store $(STORES)
	$(BIN)/pytest tests/e2e -m store --inventory inventories/store --services redis $(ARGS)

e2e-experimental: venv  ## migrations between CRIU 4.2 and 4.3, runc 1.3 and 1.4, both ways (a quarter of an hour)
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=experimental -e testbed_hosts=2 \
	  -e testbed_suite=forky,experimental
	$(BIN)/pytest tests/e2e/test_move.py tests/e2e/test_kinds.py tests/e2e/test_postcopy.py \
	  --inventory inventories/experimental $(ARGS)

# Other tests there: VM_TESTS=tests/e2e/test_faults.py ARGS="-k receiver_killed_while_armed".
VM_TESTS ?= tests/e2e -m vm
VM_SERVICES ?= redis,web,load
e2e-vm: venv  ## migrations between virtual machines, whose kernel has soft-dirty pages and cgroup v2 (emulated: half an hour)
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=vm -e testbed_kind=vm -e testbed_hosts=2
	$(BIN)/pytest $(VM_TESTS) --inventory inventories/vm --patience 12 --services $(VM_SERVICES) $(ARGS)

e2e-kernels: venv  ## migrations between virtual machines with Linux 7 and Linux 6.12, both ways (emulated: some minutes)
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=kernels -e testbed_kind=vm -e testbed_hosts=2 \
	  -e testbed_suite=forky,trixie
	$(BIN)/pytest tests/e2e -m kernels --inventory inventories/kernels --patience 12 --services load $(ARGS)

e2e-arm64: venv  ## migrations between arm64 hosts (emulated: an hour, and ten minutes once to build their image)
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=arm64 -e testbed_kind=vm -e testbed_hosts=2 \
	  -e testbed_processor=arm64
	$(BIN)/pytest tests/e2e -m arm64 --inventory inventories/arm64 --patience 12 --services redis,load $(ARGS)

# Results: reports/benchmark.
.PHONY: bench bench-quick bench-cells bench-lab
bench: bench-lab  ## moves beside three other ways, the whole grid (a day); goes on where it was interrupted
	$(BIN)/ansible-playbook -i inventories/bench playbooks/benchmark.yml -e bench_memory=16,256,1024 \
	  -e bench_dirty=0,1000,10000 -e bench_bandwidths=20,100,1000 -e bench_images=cold,top,warm \
	  -e bench_write_bytes=64,4096 -e bench_methods=this,this-compare,docker,docker-rsync,podman -e bench_runs=5 $(ARGS)

bench-quick: bench-lab $(VENV)/.services  ## four cells: headline and write storm beside podman, a small move, PostgreSQL (a quarter of an hour)
	$(BIN)/ansible-playbook -i inventories/bench playbooks/benchmark.yml -e bench_fresh=true -e bench_methods=this,podman -e bench_runs=2
	$(BIN)/ansible-playbook -i inventories/bench playbooks/benchmark.yml -e bench_dirty=10000 -e bench_images=warm \
	  -e bench_methods=this-postcopy,podman -e bench_runs=1
	$(BIN)/ansible-playbook -i inventories/bench playbooks/benchmark.yml -e bench_memory=16 -e bench_dirty=0 -e bench_bandwidths=1000 \
	  -e bench_images=warm -e bench_methods=this -e bench_runs=5
	$(BIN)/pytest tests/e2e/test_services.py -m services -k postgresql -rP --inventory inventories/bench --services load

# ARGS="-e bench_bandwidths=20,100 -e bench_runs=5", see playbooks/benchmark.yml.
bench-cells: bench-lab  ## moves beside docker checkpoint and podman, 256 MiB at 100 Mbit/s, or what ARGS say
	$(BIN)/ansible-playbook -i inventories/bench playbooks/benchmark.yml -e bench_fresh=true -e bench_runs=2 $(ARGS)

# Recorded movement is not part of the repository: ARGS="--trace-dir=<directory with cells.csv and trace.npz>".
.PHONY: decisions
decisions: venv  ## what decisions are worth on a day of taxis, the figures of docs/evaluation.md (minutes)
	PYTHONPATH=collections $(BIN)/pytest tests/decision $(ARGS)

.PHONY: bench-decisions
bench-decisions: venv  ## how long decisions take that are solved already (seconds)
	$(BIN)/python tests/benchmarks/decisions.py $(ARGS)

bench-lab: venv
	$(BIN)/ansible-playbook playbooks/testbed.yml -e testbed_name=bench -e testbed_hosts=2 \
	  -e testbed_extra_packages=podman,netavark

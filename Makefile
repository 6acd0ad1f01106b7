# SPDX-License-Identifier: LGPL-2.1-or-later
# Thin: each target sees to its packages, then hands over to meson or a script. `make help` lists them.

BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
# What is prepared once and survives make clean: the machine of tests/lab, GLib for ThreadSanitizer,
# libvirt's modular daemons, what clang-tidy found.
LAB ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/cistern-lab
FUZZ_SECONDS ?= 600
# `make test` begins no test after this time; a slow machine plays another part with each commit.
TEST_SECONDS ?= 840
SEQUENCES ?= 2000
MUTATION_ARGS ?=
# Debian's packages have other names than the BuildRequires of the spec file.
RPM_ARGS ?= $(if $(shell command -v dpkg-query),--nodeps)
# Extra options for meson setup, for example MESON_ARGS=-Dbuildtype=release
MESON_ARGS ?=

DEPS = scripts/install-deps.sh
# ccache keeps objects for the builds of the tests and for other checkouts (scripts/test).
export CCACHE_NOHASHDIR := 1
export CCACHE_DEPEND := 1
export CCACHE_SLOPPINESS := pch_defines,time_macros
COMPILER = $(shell command -v ccache >/dev/null && echo ccache) $(CC)
# Configures $(1) with options $(2) the first time, then builds the targets $(3) (default: all).
define meson_build
	@[ -f $(1)/build.ninja ] || CC="$(COMPILER)" meson setup $(1) --prefix=$(PREFIX) $(2) $(MESON_ARGS)
	@ninja -C $(1) -j $(JOBS) $(3)
endef

.DEFAULT_GOAL := build
.PHONY: help build build-tests build-asan build-crash build-fuzz demo lab test test-all test-again test-unit test-system test-tsan \
	test-crash test-faults test-power test-lab test-tck test-blocktests test-deb test-ecosystem soak sequences bench \
	fuzz mutation lint format install uninstall clean deb repository rpm

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build cistern and cisternd into build/
	@$(DEPS) build
	$(call meson_build,$(BUILD),,product)

build-tests: ## build everything into build/, tests and benchmarks too
	@$(DEPS) build
	$(call meson_build,$(BUILD),)

# As scripts/test builds them, with its linker.
ifneq ($(shell command -v ld.gold),)
build-tests build-asan build-crash: export CC_LD ?= gold
endif
LIGHT := -Doptimization=1 -Ddebug=false -Dc_args=-g1
build-asan: export CC := $(CC) -no-pie
build-asan: ## build with AddressSanitizer and UndefinedBehaviorSanitizer into build-asan/
	@$(DEPS) build
	$(call meson_build,$(BUILD)-asan,-Db_sanitize=address$(comma)undefined -Db_pie=false $(LIGHT))

build-crash: ## build with the named crash points compiled in into build-crash/
	@$(DEPS) build
	$(call meson_build,$(BUILD)-crash,-Dcrash_points=true)

build-fuzz: ## build the libFuzzer targets with clang into build-fuzz/
	@$(DEPS) build fuzz
	@[ -f $(BUILD)-fuzz/build.ninja ] || CC=clang meson setup $(BUILD)-fuzz -Dfuzz=true \
	    -Db_sanitize=address,undefined $(MESON_ARGS)
	@ninja -C $(BUILD)-fuzz -j $(JOBS) fuzz-targets

demo: build ## the main job end to end in a scratch directory, saying what it does
	@$(DEPS) demo
	@BUILD=$(BUILD) scripts/demo

test: ## the short run: unit, sanitizers, clients, crashes, power cuts, faults, lint; ends with the count
	@$(DEPS) build test lint
	@TEST_ORDER=$${TEST_ORDER-$$(git rev-parse HEAD 2>/dev/null || date +%F)} \
	    TEST_UNTIL=$${TEST_UNTIL-$$(($$(date +%s) + $(TEST_SECONDS)))} \
	    BUILD=$(BUILD) JOBS=$(JOBS) CISTERN_LAB=$(LAB) scripts/test

test-all: ## everything: make test, then ThreadSanitizer, the lab's machine, servers, packages
	@$(DEPS) build test virtqemud tsan lab ceph gluster deb lint
	@BUILD=$(BUILD) JOBS=$(JOBS) CISTERN_LAB=$(LAB) scripts/test all

test-again: ## the flaky tests of the last run, 50 times each beside a load; TIMES=5 for fewer
	@$(DEPS) build test
	@BUILD=$(BUILD) JOBS=$(JOBS) CISTERN_LAB=$(LAB) scripts/test again $(TIMES)

test-unit: build ## only the unit tests and fuzz corpora, on the ordinary build
	@$(DEPS) test mutation
	@BUILD=$(BUILD) JOBS=$(JOBS) scripts/test unit

test-system: build ## only the tests with stock clients; T=pattern picks some
	@$(DEPS) test virtqemud
	@BUILD=$(BUILD) CISTERN_LAB=$(LAB) scripts/test system $(T)

test-tsan: ## unit and system tests with ThreadSanitizer (GLib built for it once); T=pattern picks some
	@$(DEPS) build test tsan
	@BUILD=$(BUILD) JOBS=$(JOBS) CISTERN_LAB=$(LAB) scripts/test tsan $(T)

test-crash: build-crash ## only kill -9 at every crash point
	@$(DEPS) test
	@BUILD=$(BUILD) scripts/test crash $(T)

test-faults: build ## only failing system calls in each changing verb; T=pattern picks some
	@$(DEPS) test
	@BUILD=$(BUILD) JOBS=$(JOBS) scripts/test faults $(T)

test-power: build ## only power cuts at every moment; T=pattern picks some
	@$(DEPS) test
	@BUILD=$(BUILD) JOBS=$(JOBS) scripts/test power $(T)

lab: ## prepare the machine for tests that need a kernel of their own (once a kernel version)
	@$(DEPS) lab
	@CISTERN_LAB=$(LAB) tests/lab/vm build

test-lab: build-crash ## only the tests in that machine; T=pattern picks some
	@$(DEPS) test lab ceph gluster
	@BUILD=$(BUILD) CISTERN_LAB=$(LAB) scripts/test lab $(T)

test-tck: build-tests ## only libvirt's own test kit, its storage part: TCK=DIR is a checkout of libvirt-tck
	@$(DEPS) test tck
	@BUILD=$(BUILD) tests/tck/run "$(TCK)" $(T)

test-ecosystem: build ## graphical and other clients (over 1 GB of packages); pictures in BUILD/ecosystem
	@$(DEPS) test ecosystem
	@BUILD=$(BUILD) scripts/test ecosystem $(T)

soak: build-tests ## SOAK_SECONDS (default 3600) of mixed work with random kills, then a scrub
	@$(DEPS) test
	@BUILD=$(BUILD) tests/soak/soak

test-blocktests: build-tests ## QEMU's own block tests with cistern beside qemu-img; T="qcow2 vdi-104" picks some
	@$(DEPS) test tsan
	@BUILD=$(BUILD) JOBS=$(JOBS) CISTERN_LAB=$(LAB) tests/blocktests/run $(T)

sequences: build-tests ## SEQUENCES (default 2000) random sequences per image format and option set; T=pattern
	@$(DEPS) test
	@CISTERN_SEQUENCES=$(SEQUENCES) nice tests/diff/sequences_vs_qemu.py \
	    $(BUILD)/tests/tools/cst-play $(T)

bench: build-tests ## measure against stock libvirtd and qemu-img; BENCH_ARGS=--quick for a short run
	@$(DEPS) bench lab ceph gluster
	@CISTERN_LAB=$(LAB) BUILD=$(BUILD) bench/bench $(BENCH_ARGS)

fuzz: build-fuzz ## run each fuzz target for FUZZ_SECONDS (default 600)
	@BUILD=$(BUILD)-fuzz FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz

mutation: ## change one place at a time: does a test notice? MUTATION_ARGS="--module store --since HEAD~1"
	@$(DEPS) build test mutation
	@nice tests/mutation/mutation --build $(abspath $(BUILD)-mutation) --jobs $(JOBS) \
	    $(MUTATION_ARGS)

lint: build-tests ## layout, clang-tidy, length and complexity, layering, shell and python scripts
	@$(DEPS) lint
	@BUILD=$(BUILD) JOBS=$(JOBS) CISTERN_LAB=$(LAB) scripts/lint

format: ## apply .clang-format to every C file
	@$(DEPS) lint
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: build ## install under PREFIX (default /usr/local); DESTDIR honoured
	@meson configure $(BUILD) --prefix=$(PREFIX) && meson install --no-rebuild -C $(BUILD)

uninstall: ## remove what install put there
	@ninja -C $(BUILD) uninstall

deb: ## build the Debian packages into build/deb/, and look at them with lintian
	@$(DEPS) build deb
	@JOBS=$(JOBS) scripts/deb $(BUILD)/deb

repository: deb ## a signed apt repository in build/deb/repository; REPOSITORY_KEY and REPOSITORY_URL: scripts/repository
	@scripts/repository $(BUILD)/deb $(BUILD)/deb/repository

rpm: ## build the RPM packages into build/rpm/
	@$(DEPS) build rpm
	@JOBS=$(JOBS) scripts/rpm $(BUILD)/rpm $(RPM_ARGS)

test-deb: ## packages in Debian 12 and 13 made anew: dependencies from the archive, RPM, a program with the library
	@$(DEPS) build deb rpm
	@BUILD=$(BUILD) JOBS=$(JOBS) CISTERN_LAB=$(LAB) tests/deb/run long

clean: ## remove the build directories
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-crash $(BUILD)-fuzz \
	    $(BUILD)-mutation

comma := ,

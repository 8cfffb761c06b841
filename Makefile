# certfleet's build. One file, not recursive; sources are found by wildcard. `make help` lists the targets.
#
#   FLAVOUR=release|asan|tsan|coverage|fuzz   objects go to build/$(FLAVOUR)/
#   CC=gcc|clang   WERROR=1 (or CI set): warnings are errors   V=1: show commands
#   DESTDIR= PREFIX=/usr/local: for install

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

FLAVOUR ?= release
B       := build/$(FLAVOUR)
PREFIX  ?= /usr/local
PYTHON  := /usr/bin/python3
DATE    := $(shell git log -1 --format=%cs 2>/dev/null)
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
Q       := $(if $(V),,@)
ifeq ($(origin CC),default)
CC := $(if $(filter fuzz,$(FLAVOUR)),clang,gcc)
endif

# --- what we depend on: deploy/deps.sh installs it and writes down the flags; make then starts again with them

NO_DEPS := help clean distclean format format-check dist
ifneq ($(filter-out $(NO_DEPS),$(or $(MAKECMDGOALS),all)),)
include build/deps.mk
endif

build/deps.mk: deploy/deps.sh
	$(Q)deploy/deps.sh build

# --- flags

cc_option = $(shell echo 'int x;' | $(CC) -Werror $(1) -c -xc - -o /dev/null 2>/dev/null && echo $(1))

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wswitch-enum -Wvla -Wformat=2 -Wundef -Wwrite-strings $(if $(WERROR)$(CI),-Werror)
HARDENING := -fstack-protector-strong $(call cc_option,-fstack-clash-protection) \
	$(if $(filter x86_64% i%86%,$(shell $(CC) -dumpmachine 2>/dev/null)),-fcf-protection) -fPIE
HARDENING_LD := -pie -Wl,-z,relro,-z,now,-z,noexecstack

FLAGS_release  := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
FLAGS_asan     := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FLAGS_tsan     := -O1 -g -fsanitize=thread
FLAGS_coverage := -O0 -g --coverage
FLAGS_fuzz     := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
ifeq ($(FLAGS_$(FLAVOUR)),)
$(error FLAVOUR is one of release asan tsan coverage fuzz, not "$(FLAVOUR)")
endif

CPPFLAGS_ALL := -I. -D_GNU_SOURCE -DCERTFLEET_VERSION='"$(VERSION)"' $(HIREDIS_CFLAGS) $(DEPS_CFLAGS) $(CPPFLAGS)
CFLAGS_ALL   := -std=gnu17 $(WARNINGS) $(HARDENING) $(FLAGS_$(FLAVOUR)) $(CFLAGS)
LDFLAGS_ALL  := $(FLAGS_$(FLAVOUR)) $(HARDENING_LD) -Wl,--as-needed $(LDFLAGS)
LIBS         := $(HIREDIS_LIBS) $(DEPS_LIBS)

# --- sources

find_c        = $(sort $(shell find $(1) -name '*.c' 2>/dev/null))
COMMON_SRC   := $(call find_c,common) build/gen/lua_scripts.c
WORKER_SRC   := $(filter-out worker/main.c,$(call find_c,worker))
SCHED_SRC    := $(filter-out scheduler/main.c scheduler/cli/main.c,$(call find_c,scheduler)) build/gen/dashboard.c \
	build/gen/openapi.c
UNIT_SRC     := $(filter %_test.c,$(call find_c,tests/unit))
UNIT_AID_SRC := $(filter-out %_test.c,$(call find_c,tests/unit))
FUZZ_SRC     := $(wildcard tests/fuzz/*_fuzz.c)
LUA          := $(wildcard common/lua/*.lua)
C_FILES      := $(sort $(shell find common worker scheduler tests -name '*.[ch]' 2>/dev/null))

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

LIBCOMMON := $(B)/libcommon.a
LIBWORKER := $(B)/libworker.a
LIBSCHED  := $(B)/libscheduler.a
LIBAID    := $(B)/libtestaid.a

BINARIES := $(if $(wildcard worker/main.c),$(B)/certfleet-worker) \
	$(if $(wildcard scheduler/main.c),$(B)/certfleet-scheduler) \
	$(if $(wildcard scheduler/cli/main.c),$(B)/certfleet)
# What the command line says of itself.
MAN         := $(addprefix $(B)/man/,certfleet.1 certfleet.yaml.5 certfleet-scheduler.8 certfleet-worker.8)
COMPLETIONS := $(addprefix $(B)/completion/,bash zsh fish)
UNIT_BIN := $(UNIT_SRC:%.c=$(B)/%)
FUZZ_BIN := $(FUZZ_SRC:%.c=$(B)/%)
# tests/bench/x_bench.c measures one thing, x_driver.c is run by a .py there, x_world.c is what a driver works on.
BENCH_BIN := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/*_bench.c tests/bench/*_driver.c))
# tests/aid/x.c is preloaded into our programs by end-to-end tests.
AID_SO    := $(patsubst %.c,$(B)/%.so,$(wildcard tests/aid/*.c))

# --- targets

.PHONY: all help deps deps-bench check tests-built check-one e2e chaos chaos-test test asan tsan fuzz lint format \
	format-check bench coverage compdb install dist demo clean distclean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

all: $(LIBCOMMON) $(LIBWORKER) $(LIBSCHED) $(BINARIES) $(MAN) $(COMPLETIONS) ## build the three programs into build/$(FLAVOUR)/

deps: ## install what is needed to build and test (Debian 12, 13), and fetch what Debian 12 has too old
	$(Q)deploy/deps.sh build

deps-bench: ## fetch what the benches compare with
	$(Q)deploy/deps.sh build bench

# The scripts are the same in every flavour; what talks to Redis is run on Valkey as well.
ON_VALKEY = $(filter $(B)/tests/unit/common/queue% $(B)/tests/unit/common/redis%,$(UNIT_BIN))
check: $(UNIT_BIN) $(FUZZ_BIN) ## run the unit tests, those of the Lua scripts too, and replay the fuzz corpora
	$(Q)$(if $(filter release,$(FLAVOUR)),$(PYTHON) -B -m pytest -q -p no:cacheprovider -n 2 tests/unit/lua)
	$(Q)CERTFLEET_REDIS_SERVER=$(CURDIR)/build/deps/bin/valkey-server-8 tests/run.sh $(B)/check-valkey.txt $(B) $(ON_VALKEY)
	$(Q)tests/run.sh $(B)/check.txt $(B) $(UNIT_BIN) $(FUZZ_BIN)

tests-built: $(UNIT_BIN) $(FUZZ_BIN) $(AID_SO)

check-one: $(addprefix $(B)/tests/unit/,$(addsuffix _test,$(T))) ## run one unit test: T=common/buf
	$(Q)for t in $^; do $$t || exit 1; done

build/deps-test: deploy/deps.sh
	$(Q)deploy/deps.sh build test

# All of them four files at once, for most of the time they wait; some in the order and with the output that one asks for.
e2e: all $(AID_SO) build/deps-test ## run the end-to-end tests against real servers: E2E="-k name" for some
	$(Q)CERTFLEET_BUILD=$(B) $(PYTHON) -B -m pytest -p no:cacheprovider tests/e2e $(or $(E2E),-n 4 --dist loadfile)

chaos-test: all ## test chaos' plan and checker, and run two short storms
	$(Q)CERTFLEET_BUILD=$(B) $(PYTHON) -B -m pytest -q -p no:cacheprovider tests/chaos $(CHAOS)

SECONDS ?= 600
SEEDS   ?= $(or $(SEED),1 2 3)
chaos: all ## kill, stop and cut everything for SECONDS=600: SEED=1 or SEEDS="1 2 3"; REDIS=everysec|always|sentinel
	$(Q)failed=0; for s in $(SEEDS); do CERTFLEET_BUILD=$(B) $(PYTHON) -B tests/chaos/chaos.py --seed $$s \
		--seconds $(SECONDS) $(if $(REDIS),--redis $(REDIS)) || failed=1; done; exit $$failed

# One after the other, whatever -j says: each starts servers of its own and looks at the clock.
PARALLEL = $(if $(filter --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
define check_and_e2e
	$(Q)$(MAKE) --no-print-directory $(PARALLEL) FLAVOUR=$(1) all tests-built
	$(Q)$(MAKE) --no-print-directory FLAVOUR=$(1) check
	$(Q)$(MAKE) --no-print-directory FLAVOUR=$(1) e2e
	$(Q)$(MAKE) --no-print-directory FLAVOUR=$(1) chaos-test
endef

test: ## everything: check, e2e, chaos-test, and all again under ASan and UBSan
	$(Q)rm -f build/*/check.txt build/*/e2e.txt build/*/chaos.txt
	$(call check_and_e2e,release)
	$(call check_and_e2e,asan)
	@for f in release asan; do for s in check e2e chaos; do \
		printf '%-8s ' $$f; tail -n 1 build/$$f/$$s.txt; done; done

asan: ## check, e2e and chaos-test under AddressSanitizer and UndefinedBehaviorSanitizer
	$(call check_and_e2e,asan)

tsan: ## check under ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory FLAVOUR=tsan check

FUZZ_SECONDS ?= 60
fuzz: ## fuzz each target for FUZZ_SECONDS with libFuzzer; finds stay in build/fuzz/found/
	$(Q)$(MAKE) --no-print-directory FLAVOUR=fuzz fuzz-run
fuzz-run: $(FUZZ_BIN)
	$(Q)for f in $^; do n=$$(basename $$f _fuzz); d=build/fuzz/found/$$n; mkdir -p $$d; echo "fuzz: $$n"; \
		$$f -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$$d/ -print_final_stats=1 \
			$$d $$(ls -d tests/fuzz/corpus/$$n 2>/dev/null) 2>$$d.log || { tail -n 40 $$d.log; exit 1; }; \
		grep -E 'stat::number_of_executed_units|cov:' $$d.log | tail -n 2; done

lint: compdb ## layering, sizes, headers that compile alone, clang-tidy
	$(Q)tests/lint.sh
	$(Q)clang-tidy --quiet -p . $(COMMON_SRC) $(WORKER_SRC) $(SCHED_SRC)

format: ## format all C by .clang-format
	$(Q)clang-format -i $(C_FILES)

format-check: ## say what is not formatted
	$(Q)clang-format --dry-run -Werror $(C_FILES)

bench: all deps-bench $(BENCH_BIN) ## measure: tests/bench/
	$(Q)for b in $(filter %_bench,$(BENCH_BIN)); do echo "== $$b"; $$b || exit 1; done
	$(Q)for b in $(sort $(wildcard tests/bench/*_bench.py)); do CERTFLEET_BUILD=$(B) $(PYTHON) -B $$b || exit 1; done

coverage: ## lines reached by the unit tests, by file
	$(Q)$(MAKE) --no-print-directory FLAVOUR=coverage check
	$(Q)find build/coverage/obj/common build/coverage/obj/worker build/coverage/obj/scheduler -name '*.gcda' 2>/dev/null \
		| xargs gcov -n 2>/dev/null | awk -F"[':% ]+" '/^File/ { f = $$2 } \
		/^Lines executed/ && f ~ /^(common|worker|scheduler)\/.*c$$/ { printf "%6.1f %% of %5d  %s\n", $$3, $$5, f }' \
		| sort -u -k4 | tee build/coverage/coverage.txt

compdb: build/gen/lua_scripts.c build/gen/dashboard.c build/gen/openapi.c ## write compile_commands.json
	@{ echo '['; $(foreach s,$(COMMON_SRC) $(WORKER_SRC) $(SCHED_SRC) $(wildcard worker/main.c scheduler/main.c \
		scheduler/cli/main.c) $(UNIT_SRC) $(UNIT_AID_SRC) $(FUZZ_SRC),\
		printf '{"directory":"%s","file":"%s","command":"%s"},\n' '$(CURDIR)' '$(s)' \
		'$(CC) $(filter-out -DCERTFLEET_VERSION%,$(CPPFLAGS_ALL)) $(CFLAGS_ALL) -c $(s)';) } \
		| sed '$$ s/,$$//' > compile_commands.json; echo ']' >> compile_commands.json

install: all ## install to $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/certfleet
	install -m 755 $(BINARIES) $(DESTDIR)$(PREFIX)/bin
	$(Q)for u in deploy/systemd/*.service; do [ ! -e "$$u" ] || \
		sed 's,@PREFIX@,$(PREFIX),g' "$$u" > $(DESTDIR)$(PREFIX)/lib/systemd/system/$$(basename "$$u"); done
	$(Q)for m in $(MAN); do install -D -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/}; done
	install -D -m 644 $(B)/completion/bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/certfleet
	install -D -m 644 $(B)/completion/zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_certfleet
	install -D -m 644 $(B)/completion/fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/certfleet.fish
	cp -R config deploy/edge deploy/subscribers $(DESTDIR)$(PREFIX)/share/certfleet

dist: ## make a source archive of HEAD
	git archive --prefix=certfleet-$(VERSION)/ -o certfleet-$(VERSION).tar.gz HEAD

demo: all ## run the whole story on private servers in a private folder
	$(Q)CERTFLEET_BUILD=$(B) $(PYTHON) -B deploy/demo/demo.py

clean: ## remove what was built, but not what was fetched
	rm -rf build/release build/asan build/tsan build/coverage build/fuzz build/gen compile_commands.json

distclean: clean ## remove everything that is not in the repository
	rm -rf build

# --- rules

$(LIBCOMMON): $(call obj,$(COMMON_SRC))
$(LIBWORKER): $(call obj,$(WORKER_SRC))
$(LIBSCHED): $(call obj,$(SCHED_SRC))
$(LIBAID): $(call obj,$(UNIT_AID_SRC))

# Made anew each time, or members of removed sources would stay.
%.a:
	@echo "  AR    $@"
	$(Q)mkdir -p $(@D) && rm -f $@ && ar rcs $@ $^

define link
	@echo "  LD    $@"
	$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS) $(1)
endef

$(B)/certfleet-worker: $(call obj,worker/main.c) $(LIBWORKER) $(LIBCOMMON)
	$(call link)
$(B)/certfleet-scheduler: $(call obj,scheduler/main.c) $(LIBSCHED) $(LIBCOMMON)
	$(call link)
$(B)/certfleet: $(call obj,scheduler/cli/main.c) $(LIBSCHED) $(LIBCOMMON)
	$(call link)

$(B)/man/%: $(B)/certfleet config/certfleet.yaml
	$(Q)mkdir -p $(@D) && $< manual $(@F) --example config/certfleet.yaml --date "$(DATE)" > $@
$(B)/completion/%: $(B)/certfleet
	$(Q)mkdir -p $(@D) && $< completion $(@F) > $@

$(B)/tests/unit/common/%_test: $(B)/obj/tests/unit/common/%_test.o $(LIBAID) $(LIBCOMMON)
	$(call link,$(TEST_LIBS))
$(B)/tests/unit/worker/%_test: $(B)/obj/tests/unit/worker/%_test.o $(LIBAID) $(LIBWORKER) $(LIBCOMMON)
	$(call link,$(TEST_LIBS))
$(B)/tests/unit/scheduler/%_test: $(B)/obj/tests/unit/scheduler/%_test.o $(LIBAID) $(LIBSCHED) $(LIBCOMMON)
	$(call link,$(TEST_LIBS))

FUZZ_MAIN := $(if $(filter fuzz,$(FLAVOUR)),,$(call obj,tests/fuzz/replay.c))
$(B)/tests/fuzz/%_fuzz: $(B)/obj/tests/fuzz/%_fuzz.o $(FUZZ_MAIN) $(LIBWORKER) $(LIBSCHED) $(LIBCOMMON)
	$(call link,$(if $(FUZZ_MAIN),,-fsanitize=fuzzer))
$(B)/tests/bench/fleet_driver: $(call obj,tests/bench/fleet_driver.c tests/bench/fleet_world.c) $(LIBCOMMON)
	$(call link)
$(B)/tests/bench/%: $(B)/obj/tests/bench/%.o $(LIBWORKER) $(LIBSCHED) $(LIBCOMMON)
	$(call link)

# Without the flavour's sanitizers: it comes before them.
$(B)/tests/aid/%.so: tests/aid/%.c
	@echo "  SO    $@"
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu17 -D_GNU_SOURCE $(WARNINGS) -O1 -g -fPIC -shared -o $@ $< -ldl

$(B)/obj/%.o: %.c build/deps.mk
	@echo "  CC    $<"
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

build/gen/lua_scripts.c: common/lua/embed.py $(LUA) common/lua
	$(Q)mkdir -p $(@D) && $(PYTHON) -B common/lua/embed.py $@ common/lua

build/gen/dashboard.c: scheduler/dashboard/embed.py $(wildcard scheduler/dashboard/*)
	$(Q)mkdir -p $(@D) && $(PYTHON) -B scheduler/dashboard/embed.py $@ scheduler/dashboard

build/gen/openapi.c: scheduler/api/embed.py scheduler/api/openapi.yaml
	$(Q)mkdir -p $(@D) && $(PYTHON) -B scheduler/api/embed.py $@ scheduler/api/openapi.yaml

.SECONDARY:
-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

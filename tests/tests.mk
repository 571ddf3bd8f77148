# SPDX-License-Identifier: Apache-2.0
# tests.mk: tests, lint, sanitizers, fuzzers, coverage, bench

MPMS         ?= event worker prefork
# Tests mostly wait: one takes a tenth of a processor, and up to 200 MiB.
JOBS         ?= $(shell jobs=$$((6 * $$(nproc 2>/dev/null || echo 1))); echo $$((jobs < 24 ? jobs : 24)))
FUZZ_SECONDS ?= 60

# ---- what is built for the tests ----

TESTS     := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/*.c))
UNIT      := $(filter $(BUILD)/tests/test_%,$(TESTS))
TEST_CC    = $(CC) $(filter-out -fvisibility=hidden,$(BASE)) $(APR_INC) -Isrc/core
CHECK_LIB  = $(BUILD)/libweave.a -lcmocka $(APR_LIB) -ljansson

$(BUILD)/tests/%: tests/%.c $(BUILD)/libweave.a
	@mkdir -p $(@D)
	$(call brief,CC,$<)$(TEST_CC) -MMD -MP -o $@ $< $(LINK) $(CHECK_LIB)

# weave-worker alone, with an engine that is no Python
$(BUILD)/tests/engine_stub.so: tests/supp/engine_stub.c $(BUILD)/include/weave_engine.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(call brief,CC,$<)$(CC) $(BASE) $(APR_INC) -I$(BUILD)/include -MMD -MP -shared -o $@ $< $(LINK)
TESTS += $(BUILD)/tests/engine_stub.so

# preloaded into programs: a wall clock that tests can step, an end at each step
SHIMS := $(foreach shim,clock kill share,$(BUILD)/tests/$(shim)_shim.so)
$(SHIMS): $(BUILD)/tests/%_shim.so: tests/supp/%_shim.c
	@mkdir -p $(@D)
	$(call brief,CC,$<)$(CC) -std=gnu11 -D_GNU_SOURCE -fPIC -shared $(WARN) -O2 -o $@ $<
TESTS += $(SHIMS)

# A fuzzer in tests/fuzz/fuzz_NAME.c has its corpus in tests/fuzz/corpus/NAME.
# Everywhere it is built as a program that replays inputs; clang makes it fuzz.
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAYS := $(FUZZERS:%=$(BUILD)/tests/replay_%)

$(BUILD)/tests/replay_%: tests/fuzz/fuzz_%.c $(BUILD)/libweave.a
	@mkdir -p $(@D)
	$(call brief,CC,$<)$(TEST_CC) -DFUZZ_REPLAY -MMD -MP -o $@ $< $(LINK) $(CHECK_LIB)

# ---- running them ----

# What is looked up when make starts may only be there after conf/deps: so
# another make does the work.
test: deps-test  ## all tests: units, server, the suites; with ALL=1 all repetitions
	@$(MAKE) --no-print-directory test-all

deps-test:
	@conf/deps run test
deps-lint:
	@conf/deps lint

# cmocka speaks TAP when it is asked to; tests/*.t look for programs in BUILD
RUN_TESTS = env CMOCKA_MESSAGE_OUTPUT=TAP BUILD=$(BUILD) tests/run -b $(BUILD) \
	-j $(JOBS) -m "$(MPMS)" -p "$(PYTHONS)"
# what takes too long for `make check`
SLOW     := tests/build.t tests/e2e_bounds.t tests/e2e_data.t tests/e2e_httpd.t tests/install.t \
	$(wildcard tests/firefox*.t tests/mozupload*.t tests/release*.t) tests/run.t $(wildcard tests/server*.t) \
	tests/soak.t

# Only ALL=1 has the suites repeat on each MPM what t/mpms does not name, and a
# tenth of the soak. The longest comes first: the others fill the time beside it.
REPEATED := tests/soak.t
LONGEST  := tests/soak.t $(wildcard tests/server*.t tests/firefox*.t tests/mozupload*.t tests/release*.t)
TEST_T   := $(filter-out $(if $(ALL),,$(REPEATED)),$(LONGEST) \
	$(filter-out $(LONGEST),$(wildcard tests/*.t)))

test-all: all $(TESTS) $(REPLAYS)
	$(RUN_TESTS) $(if $(ALL),-a) $(TEST_T) $(UNIT)

check: all $(TESTS) $(REPLAYS)  ## the tests that take seconds
	$(RUN_TESTS) -t none $(UNIT) $(filter-out $(SLOW),$(wildcard tests/*.t))

soak: all  ## the long tests: restarts, generations, requests by the thousand
	prove --verbose tests/bench/soak :: --build $(BUILD)

bench: all  ## compare with what others serve WSGI with, and with a C handler
	tests/bench/bench --build $(BUILD)

fleet:  ## 100,000 clients after a maintenance, simulated; redraws docs/fleet-*.png
	tests/fleet/fleet --docs docs

# ---- lint ----

C_FILES  = $(wildcard mod_weave.c src/*/*.[ch] src/*/*/*.[ch] tests/*.[ch] tests/fuzz/*.[ch] tests/bench/*.[ch] \
	tests/supp/*.c)
# files by their #! line
scripts  = $(shell find conf t tests server mozupload .ci -type f -exec awk \
	'FNR == 1 && $$0 ~ "^\#!.*$(1)" { print FILENAME } { nextfile }' {} + 2>/dev/null)
PY_FILES = $(sort $(call scripts,python) $(wildcard src/engine/*.py src/worker/*.py src/release/*.py src/release/*/*.py tests/release/*.py t/firefox/*.py t/apps/*.wsgi t/apps/lib/*.py \
	server/*.wsgi tests/*.py tests/supp/*.py tests/bench/*.wsgi tests/bench/weavebench/*.py \
	tests/lint/*.py tests/fleet/*.py tests/fleet/weavefleet/*.py) \
	$(shell find server mozupload -name '*.py'))
PL_FILES = $(sort $(call scripts,perl) $(wildcard t/lib/*.pm t/lib/*/*.pm) $(wildcard t/*/*.t))
LINTS   := lint-rules lint-format lint-c lint-tidy lint-python lint-shell lint-perl

lint: deps-lint $(LINTS)  ## formatting, static analysis, the rules of the house
	@echo 'lint: $(LINTS:lint-%=%): clean'

lint-rules:
	@tests/lint/rules

lint-format:
	@clang-format --dry-run -Werror $(C_FILES)

lint-c:
	@cppcheck --quiet --std=c11 --enable=warning,performance,portability \
	    --inline-suppr --suppress=missingInclude --error-exitcode=1 \
	    -Isrc/core -Isrc/httpd -Isrc/httpd/parent -Isrc/httpd/child -Isrc/worker -Isrc/super -Isrc/ctl -Isrc/engine \
	    mod_weave.c src tests

# TIDY files, flags: each folder with the includes that it is built with
TIDY = printf '%s\n' $(1) | xargs -P 2 -n 4 sh -c 'clang-tidy --quiet "$$@" -- \
	-std=gnu11 $(2) 2>/dev/null || exit 1' sh

lint-tidy: $(BUILD)/include/weave_engine.h
	@$(call TIDY,src/core/*.c,$(APR_INC))
	@$(call TIDY,mod_weave.c src/httpd/*.c src/httpd/*/*.c,$(HTTPD_INC))
	@$(call TIDY,src/worker/*.c,$(APR_INC) -Isrc/worker -Isrc/core -I$(BUILD)/include)
	@$(call TIDY,src/super/*.c src/ctl/*.c,$(APR_INC) -Isrc/super -Isrc/ctl -Isrc/core -DCTL_PYTHON=\"python3\")
	@$(call TIDY,src/engine/*.c,$(filter -I%,$(shell conf/python $(firstword $(PYTHONS)))) -DENGINE_PYTHON=\"3\" -DENGINE_PYTHON_EXECUTABLE=\"python3\")
	@$(call TIDY,tests/*.c tests/fuzz/*.c,-DFUZZ_REPLAY $(APR_INC) -Isrc/core)

lint-python:
	@/usr/bin/python3 -m flake8 --config tests/lint/flake8 $(PY_FILES)

lint-shell:
	@shellcheck $(call scripts,/(ba)?sh)

lint-perl:
	@for file in $(PL_FILES); do \
	    perl -It/lib -c $$file >/dev/null 2>$(BUILD)/lint-perl.log || \
	        { cat $(BUILD)/lint-perl.log; exit 1; }; \
	done

format:  ## format the C files
	clang-format -i $(C_FILES)

# ---- sanitizers, fuzzers, coverage ----

ASAN_AREAS ?= smoke wsgi import conf-errors graceful worker release maintenance

# httpd and Python are not built with it: tests/supp/asan preloads it
asan:  ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(MAKE) BUILD=$(BUILD)/asan CFLAGS='-O1 -g -fno-omit-frame-pointer' \
	    SANITIZE='-fsanitize=address,undefined' MPMS=event asan-tests

asan-tests: all $(TESTS) $(REPLAYS)
	tests/supp/asan $(CC) $(RUN_TESTS) -t "$(ASAN_AREAS)" $(UNIT) \
	    tests/fuzz.t tests/ini_differential.t tests/e2e_httpd.t tests/worker_load.t

tsan:  ## weave-worker under ThreadSanitizer, with an engine that is no Python
	$(MAKE) BUILD=$(BUILD)/tsan CFLAGS='-O1 -g' SANITIZE=-fsanitize=thread \
	    tsan-tests

tsan-tests: $(addprefix $(BUILD)/,weave-worker tests/engine_stub.so tests/worker_load)
	@rm -f $(BUILD)/report.*
	TSAN_OPTIONS=log_path=$(abspath $(BUILD))/report BUILD=$(BUILD) \
	    SECONDS_EACH=10 prove tests/worker_load.t
	@for report in $(BUILD)/report.*; do \
	    [ ! -e "$$report" ] || { cat "$$report"; exit 1; }; \
	done

fuzz: $(FUZZERS:%=fuzz-%)  ## each fuzzer for FUZZ_SECONDS (60)

fuzz-%: tests/fuzz/fuzz_%.c
	@mkdir -p $(BUILD)/fuzz/$*
	clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined \
	    -fno-sanitize-recover=undefined $(APR_INC) -Isrc/core \
	    -o $(BUILD)/fuzz/fuzz_$* $< $(CORE_SRC) $(APR_LIB) -ljansson
	$(BUILD)/fuzz/fuzz_$* -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
	    -artifact_prefix=$(BUILD)/fuzz/ $(BUILD)/fuzz/$* tests/fuzz/corpus/$*

COVERAGE_AREAS ?= smoke wsgi import conf-errors

coverage:  ## which lines of src/ the tests reach
	$(MAKE) BUILD=$(BUILD)/coverage CFLAGS='-O0 -g' SANITIZE=--coverage \
	    MPMS=event coverage-tests

$(BUILD)/exit.so: tests/supp/exit.c
	$(CC) -std=gnu11 -fPIC -shared $(WARN) -O2 -o $@ $<

coverage-tests: all $(TESTS) $(REPLAYS) $(BUILD)/exit.so
	find $(BUILD) -name '*.gcda' -delete
	tests/supp/coverage $(BUILD) $(RUN_TESTS) -t "$(COVERAGE_AREAS)" $(UNIT) \
	    tests/fuzz.t tests/ini_differential.t tests/keys_docs.t
	gcovr --root . --object-directory $(BUILD) --filter src/ --filter mod_weave \
	    $(BUILD)

.PHONY: test test-all deps-test deps-lint check soak bench fleet lint $(LINTS) format asan asan-tests tsan tsan-tests fuzz coverage coverage-tests

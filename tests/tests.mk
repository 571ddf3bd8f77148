# SPDX-License-Identifier: Apache-2.0
# tests.mk: tests, lint, sanitizers, fuzzers, coverage, bench

MPMS         ?= event worker prefork
FUZZ_SECONDS ?= 60

# ---- what is built for the tests ----

TESTS     := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/*.c))
UNIT      := $(filter $(BUILD)/tests/test_%,$(TESTS))
CHECK_LIB  = $(BUILD)/libweave.a -lcmocka $(APR_LIB) -ljansson

$(BUILD)/tests/%: tests/%.c $(BUILD)/libweave.a
	@mkdir -p $(@D)
	$(CC) $(filter-out -fvisibility=hidden,$(BASE)) $(APR_INC) -Isrc/core -MMD -MP -o $@ $< $(LDFLAGS) $(CHECK_LIB)

# ---- running them ----

# cmocka says TAP when it is asked to; the differential tests look in BUILD
RUN_TESTS = CMOCKA_MESSAGE_OUTPUT=TAP BUILD=$(BUILD) tests/run -b $(BUILD) -m "$(MPMS)" -p "$(PYTHONS)"
# what takes too long for `make check`
SLOW     := tests/e2e_httpd.t tests/install.t

test: all $(TESTS)  ## all tests: units, server, suites on each MPM and Python
	$(RUN_TESTS) $(UNIT) $(wildcard tests/*.t)

check: all $(TESTS)  ## the tests that take seconds
	$(RUN_TESTS) -t none $(UNIT) $(filter-out $(SLOW),$(wildcard tests/*.t))

soak: all  ## the long tests: restarts and requests by the thousand
	prove --verbose tests/bench/soak :: --build $(BUILD)

bench: all  ## compare with mod_wsgi and a C handler
	tests/bench/bench --build $(BUILD)

.PHONY: test check soak bench

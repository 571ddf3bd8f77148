# SPDX-License-Identifier: Apache-2.0
# tests.mk: unit tests, suites, lint, sanitizers, fuzzers, bench

TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/*.c))
CHECK_LIB = $(BUILD)/libweave.a -lcmocka $(APR_LIB) -ljansson

$(BUILD)/tests/%: tests/%.c $(BUILD)/libweave.a
	@mkdir -p $(@D)
	$(CC) $(filter-out -fvisibility=hidden,$(BASE)) $(APR_INC) -Isrc/core -MMD -MP -o $@ $< $(LDFLAGS) $(CHECK_LIB)

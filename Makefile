# SPDX-License-Identifier: Apache-2.0
# mod_weave: `make help` says what there is to make.
#
# Everything about httpd and APR is asked of apxs, everything about a Python
# of that Python.

APXS    ?= $(firstword $(shell command -v apxs apxs2 2>/dev/null))
PYTHONS ?= /usr/bin/python3
BUILD   ?= build

ask     = $(if $(APXS),$(shell $(APXS) -q $(1) 2>/dev/null))
CC      := $(or $(call ask,CC),cc)
APR     := $(call ask,APR_CONFIG)
APU     := $(call ask,APU_CONFIG)

CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra $(if $(CI),-Werror)
BASE    := -std=gnu11 -fPIC -fvisibility=hidden -pthread $(WARN) $(CFLAGS) $(SANITIZE)
APR_INC := $(if $(APR),$(shell $(APR) --includes --cppflags) $(shell $(APU) --includes))
APR_LIB := $(if $(APR),$(shell $(APU) --link-ld --libs) $(shell $(APR) --link-ld --libs))
AP_INC  := -I$(call ask,INCLUDEDIR) $(APR_INC)
LDFLAGS += $(SANITIZE)

all: $(BUILD)/mod_weave.so programs engines  ## build the module, its programs and an engine for each of PYTHONS

# ---- src/core: APR and jansson, no httpd, no Python ----

CORE_SRC := $(wildcard src/core/*.c)
CORE_OBJ := $(CORE_SRC:%.c=$(BUILD)/obj/%.o)

$(BUILD)/obj/src/core/%.o: src/core/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(APR_INC) -Isrc/core -MMD -MP -c -o $@ $<

$(BUILD)/libweave.a: $(CORE_OBJ)
	@rm -f $@
	ar rcs $@ $^

# ---- src/httpd: the module, without a trace of Python ----

HTTPD_SRC := mod_weave.c $(wildcard src/httpd/*.c)
HTTPD_OBJ := $(HTTPD_SRC:%.c=$(BUILD)/obj/%.o)
HTTPD_INC := $(AP_INC) -Isrc/httpd -Isrc/core -I$(BUILD)/include

# the one header of the engine that others may see
$(BUILD)/include/weave_engine.h: src/engine/weave_engine.h
	@mkdir -p $(@D)
	cp $< $@

$(HTTPD_OBJ): $(BUILD)/include/weave_engine.h
$(BUILD)/obj/mod_weave.o: mod_weave.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(HTTPD_INC) -MMD -MP -c -o $@ $<
$(BUILD)/obj/src/httpd/%.o: src/httpd/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(HTTPD_INC) -MMD -MP -c -o $@ $<

$(BUILD)/mod_weave.so: $(HTTPD_OBJ) $(BUILD)/libweave.a
	$(CC) -shared $(LDFLAGS) -o $@ $^ -ljansson -ldl

# ---- the programs: weaved, weave-worker, weavectl ----

PROGRAMS := $(BUILD)/weaved $(BUILD)/weave-worker $(BUILD)/weavectl
programs: $(PROGRAMS)

# PROGRAM name, folder: a program is a folder over the core
define PROGRAM
$(BUILD)/$(1): $$(patsubst %.c,$(BUILD)/obj/%.o,$$(wildcard $(2)/*.c)) $(BUILD)/libweave.a
	$$(CC) $$(LDFLAGS) -pthread -Wl,--as-needed -o $$@ $$^ $$(APR_LIB) -ljansson -ldl
$(BUILD)/obj/$(2)/%.o: $(2)/%.c $(3)
	@mkdir -p $$(@D)
	$$(CC) $$(BASE) $$(APR_INC) -I$(2) -Isrc/core -I$(BUILD)/include -MMD -MP -c -o $$@ $$<
endef
$(eval $(call PROGRAM,weaved,src/super))
$(eval $(call PROGRAM,weave-worker,src/worker,$(BUILD)/include/weave_engine.h))
$(eval $(call PROGRAM,weavectl,src/ctl))

# ---- src/engine: one object for each Python ----

ENGINE_SRC := $(wildcard src/engine/*.c)

$(BUILD)/obj/support_text.c: src/engine/support.py
	@mkdir -p $(@D)
	{ echo 'const char engine_support_py[] ='; \
	  sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/    "/' -e 's/$$/\\n"/' $<; \
	  echo '    ;'; } > $@

py_ask = $(shell $(1) -c 'import sys, sysconfig as s; v = s.get_config_var; print($(2))' 2>/dev/null)

ENGINE_VERSIONS :=
ENGINES :=
define ENGINE
V := $$(call py_ask,$(1),"%d.%d" % sys.version_info[:2])
ifeq ($$(V),)
# said by a recipe: `make deps` may be what brings this Python
ENGINES += no-python
else ifeq ($$(filter $$(V),$$(ENGINE_VERSIONS)),)
ENGINE_VERSIONS += $$(V)
ENGINES += $$(BUILD)/weave-engine-$$(V).so
$$(BUILD)/obj/engine-$$(V)/%.o: PY_FLAGS := -I$$(call py_ask,$(1),v("INCLUDEPY")) \
	-DENGINE_PYTHON='"$$(V)"' -DENGINE_PYTHON_EXECUTABLE='"$(1)"'
$$(BUILD)/obj/engine-$$(V)/%.o: src/engine/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(BASE) $$(PY_FLAGS) -MMD -MP -c -o $$@ $$<
$$(BUILD)/obj/engine-$$(V)/support_text.o: $$(BUILD)/obj/support_text.c
	@mkdir -p $$(@D)
	$$(CC) $$(BASE) -c -o $$@ $$<
$$(BUILD)/weave-engine-$$(V).so: PY_LIB := $$(call py_ask,$(1),"-L%s -lpython%s" % (v("LIBDIR"), v("LDVERSION")) + ("" if v("LIBDIR").startswith("/usr/lib") else " -Wl,-rpath," + v("LIBDIR")))
$$(BUILD)/weave-engine-$$(V).so: $$(ENGINE_SRC:src/engine/%.c=$$(BUILD)/obj/engine-$$(V)/%.o) $$(BUILD)/obj/engine-$$(V)/support_text.o
	$$(CC) -shared $$(LDFLAGS) -o $$@ $$^ $$(PY_LIB) -Wl,-z,defs
endif
endef
$(foreach py,$(PYTHONS),$(eval $(call ENGINE,$(py))))

no-python:
	@echo 'one of $(PYTHONS) does not run: see `make deps`, or name Pythons that do' >&2
	@echo 'with PYTHONS="/usr/bin/python3 ..."' >&2
	@exit 1

engines: $(ENGINES) $(BUILD)/weave-engine.so
# a sync.ini without a virtualenv gets the first of PYTHONS
$(BUILD)/weave-engine.so: $(firstword $(ENGINES))
	ln -sf $(notdir $<) $@

-include conf/install.mk
-include tests/tests.mk

clean:  ## remove what was built
	rm -rf $(BUILD)

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.PHONY: all programs engines no-python clean help

# SPDX-License-Identifier: Apache-2.0
# mod_weave: `make help` says what there is to make.
#
# Everything about httpd and APR is asked of apxs, everything about a Python
# of that Python.

APXS    ?= $(shell command -v apxs || command -v apxs2)
PYTHONS ?= /usr/bin/python3
BUILD   ?= build

all:  ## build the module, its programs and an engine for each of PYTHONS

include conf/flags.mk

all: $(BUILD)/mod_weave.so programs engines

# ---- src/core: APR and jansson, no httpd, no Python ----

CORE_SRC := $(sort $(wildcard src/core/*.c))
CORE_OBJ := $(CORE_SRC:%.c=$(BUILD)/obj/%.o)

$(BUILD)/obj/src/core/%.o: src/core/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call brief,CC,$<)$(CC) $(BASE) $(APR_INC) -Isrc/core -MMD -MP -c -o $@ $<

$(BUILD)/libweave.a: $(CORE_OBJ)
	@rm -f $@
	$(call brief,AR,$(@F))$(AR) rcD $@ $^

# ---- src/httpd: the module, without a trace of Python ----

# each room sees its own headers and the shared ones below it, no other room's
HTTPD_SRC := mod_weave.c $(sort $(wildcard src/httpd/*.c src/httpd/*/*.c))
HTTPD_OBJ := $(HTTPD_SRC:%.c=$(BUILD)/obj/%.o)
HTTPD_INC := $(AP_INC) -Isrc/httpd -Isrc/core -I$(BUILD)/include

# the one header of the engine that others may see
$(BUILD)/include/weave_engine.h: src/engine/weave_engine.h
	@mkdir -p $(@D)
	@cp $< $@

$(HTTPD_OBJ): $(BUILD)/include/weave_engine.h
$(BUILD)/obj/mod_weave.o: mod_weave.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call brief,CC,$<)$(CC) $(BASE) $(HTTPD_INC) -MMD -MP -c -o $@ $<
$(BUILD)/obj/src/httpd/%.o: src/httpd/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call brief,CC,$<)$(CC) $(BASE) $(HTTPD_INC) -MMD -MP -c -o $@ $<

$(BUILD)/mod_weave.so: $(HTTPD_OBJ) $(BUILD)/libweave.a
	$(call brief,LD,$(@F))$(CC) -shared $(LINK) -o $@ $^ -ljansson -ldl

# TEXT file, symbol, source: a Python program as text in C
define TEXT
$(BUILD)/obj/$(1).c: $(3)
	@mkdir -p $$(@D)
	@{ echo 'const char $(2)[] ='; \
	  sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/    "/' -e 's/$$$$/\\n"/' $$<; \
	  echo '    ;'; } > $$@
endef

# ---- the programs: weaved, weave-worker, weavectl ----

PROGRAMS := $(BUILD)/weaved $(BUILD)/weave-worker $(BUILD)/weavectl
programs: $(PROGRAMS)

# PROGRAM name, folder: a program is a folder over the core
define PROGRAM
$(BUILD)/$(1): $$(patsubst %.c,$(BUILD)/obj/%.o,$$(sort $$(wildcard $(2)/*.c))) $(BUILD)/libweave.a
	$$(call brief,LD,$$(@F))$$(CC) -fPIE -pie $$(LINK) -pthread -Wl,--as-needed -o $$@ $$^ $$(APR_LIB) -ljansson -ldl
$(BUILD)/obj/$(2)/%.o: $(2)/%.c $(BUILD)/flags $(3)
	@mkdir -p $$(@D)
	$$(call brief,CC,$$<)$$(CC) $$(BASE) $$(APR_INC) -I$(2) -Isrc/core -I$(BUILD)/include -MMD -MP -c -o $$@ $$<
endef
$(eval $(call PROGRAM,weaved,src/super))
$(eval $(call PROGRAM,weave-worker,src/worker,$(BUILD)/include/weave_engine.h))
$(eval $(call PROGRAM,weavectl,src/ctl))

# ---- src/release: what weavectl does in Python, with the modules of mozupload that nodes need ----

RELEASE_PYTHON := $(or $(shell command -v $(firstword $(PYTHONS))),$(firstword $(PYTHONS)))
$(BUILD)/obj/src/ctl/python: $(FORCE_FLAGS)
	@$(call renew,$(RELEASE_PYTHON))
$(BUILD)/obj/src/ctl/release.o: BASE += -DCTL_PYTHON='"$(RELEASE_PYTHON)"'
$(BUILD)/obj/src/ctl/release.o: $(BUILD)/obj/src/ctl/python

RELEASE_SRC := src/release/__main__.py $(sort $(wildcard src/release/weave_release/*.py))
UPLOAD_SRC  := $(wildcard $(addprefix mozupload/src/mozupload/,$(addsuffix .py,names manifest share)))
# what weavectl init knows of the Sync server
SERVER_SRC  := $(addprefix server/src/weave/server/,clients.py config.py setting_up.py)
RELEASE     := $(BUILD)/weave-release
programs: $(RELEASE)/compiled

# Names within the package alone are compiled in: two builds are the same. The
# time of a file does not matter, for `make install` makes it new.
$(RELEASE)/compiled: $(RELEASE_SRC) $(UPLOAD_SRC) $(SERVER_SRC) conf/sync.ini $(BUILD)/flags
	@rm -rf $(RELEASE)
	@mkdir -p $(addprefix $(RELEASE)/,weave_release weave_server mozupload)
	@cp src/release/__main__.py conf/sync.ini $(RELEASE)
	@cp src/release/weave_release/*.py $(RELEASE)/weave_release
	@cp $(SERVER_SRC) $(RELEASE)/weave_server
	@printf '"""What weavectl needs of the Sync server."""\n' >$(RELEASE)/weave_server/__init__.py
	@$(if $(UPLOAD_SRC),cp $(UPLOAD_SRC) $(RELEASE)/mozupload)
	@printf '"""What nodes need of mozupload."""\n' >$(RELEASE)/mozupload/__init__.py
	$(call brief,PY,$(@D))$(RELEASE_PYTHON) -I -S -m compileall -q -d weave-release \
	    --invalidation-mode unchecked-hash $(RELEASE)
	@touch $@

$(eval $(call TEXT,check_text,worker_check_py,src/worker/check.py))
$(BUILD)/obj/check_text.o: $(BUILD)/obj/check_text.c $(BUILD)/flags
	$(call brief,CC,$(<F))$(CC) $(BASE) -c -o $@ $<
$(BUILD)/weave-worker: $(BUILD)/obj/check_text.o

# ---- src/engine: one object for each Python ----

ENGINE_SRC := $(sort $(wildcard src/engine/*.c))

$(eval $(call TEXT,support_text,engine_support_py,src/engine/support.py))

# conf/python says which flags an engine needs
ENGINE_VERSIONS :=
ENGINES :=
define ENGINE
PY := $$(shell conf/python $(1) 2>/dev/null)
V_PY := $$(firstword $$(PY))
ifeq ($$(V_PY),)
# said by a recipe: `make deps` may be what brings this Python
ENGINES += no-python
else ifeq ($$(filter $$(V_PY),$$(ENGINE_VERSIONS)),)
ENGINE_VERSIONS += $$(V_PY)
ENGINES += $$(BUILD)/weave-engine-$$(V_PY).so
$$(BUILD)/obj/engine-$$(V_PY)/flags $$(BUILD)/obj/engine-$$(V_PY)/%.o: PY_FLAGS := \
	$$(filter -I% $$(if $$(PLACELESS),-f%),$$(PY)) -DENGINE_PYTHON='"$$(V_PY)"' \
	-DENGINE_PYTHON_EXECUTABLE='"$(1)"'
$$(BUILD)/weave-engine-$$(V_PY).so $$(BUILD)/obj/engine-$$(V_PY)/flags: PY_LIB := \
	$$(filter -L% -l% -W%,$$(PY))
$$(BUILD)/obj/engine-$$(V_PY)/flags: $$(BUILD)/flags $$(FORCE_FLAGS)
	@$$(call renew,$$(PY_FLAGS) $$(PY_LIB) $$(FLAGS))
$$(BUILD)/obj/engine-$$(V_PY)/%.o: src/engine/%.c $$(BUILD)/obj/engine-$$(V_PY)/flags
	$$(call brief,CC,$$< ($$(ENGINE_OF)))$$(CC) $$(BASE) $$(PY_FLAGS) -MMD -MP -c -o $$@ $$<
$$(BUILD)/obj/engine-$$(V_PY)/support_text.o: $$(BUILD)/obj/support_text.c $$(BUILD)/obj/engine-$$(V_PY)/flags
	@$$(CC) $$(BASE) -c -o $$@ $$<
$$(BUILD)/weave-engine-$$(V_PY).so: $$(ENGINE_SRC:src/engine/%.c=$$(BUILD)/obj/engine-$$(V_PY)/%.o) $$(BUILD)/obj/engine-$$(V_PY)/support_text.o
	$$(call brief,LD,$$(@F))$$(CC) -shared $$(LINK) -o $$@ $$^ $$(PY_LIB) -Wl,-z,defs
endif
endef
# the version in .../engine-VERSION/...
ENGINE_OF = $(patsubst engine-%,%,$(notdir $(patsubst %/,%,$(@D))))
$(foreach py,$(PYTHONS),$(eval $(call ENGINE,$(py))))

no-python: $(BUILD)/flags
	@$(need_pythons)

engines: $(ENGINES) $(BUILD)/weave-engine.so
# a sync.ini without a virtualenv gets the first of PYTHONS
$(BUILD)/weave-engine.so: $(firstword $(ENGINES))
	@ln -sf $(notdir $<) $@

-include conf/install.mk
-include tests/tests.mk

clean:  ## remove what was built
	rm -rf $(call quote,$(or $(BUILD_GIVEN),$(BUILD))) $(if $(BUILD_GIVEN),$(BUILD))

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

-include $(shell find $(BUILD)/ -name '*.d' 2>/dev/null)
.PHONY: all programs engines no-python clean help

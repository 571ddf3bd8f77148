# SPDX-License-Identifier: Apache-2.0
# flags.mk: where, with which compiler and flags, and how loudly things are built
#
# CC, CPPFLAGS, CFLAGS, LDFLAGS, AR and BUILD are taken from the environment and
# the command line. HARDENING= builds without the flags that conf/harden finds.

quote = '$(subst ','\'',$(1))'
comma := ,

# ---- where ----

# GNU make takes a name with a space for two. A BUILD with one, or with another
# character that make or a shell would not take as it is, is reached by a link.
ifneq ($(shell printf %s $(call quote,$(BUILD)) | LC_ALL=C tr -d 'A-Za-z0-9_./+,@-'),)
BUILD_GIVEN := $(BUILD)
override BUILD := .build-$(shell printf %s $(call quote,$(BUILD)) | cksum | cut -d ' ' -f 1)
ifneq ($(shell mkdir -p $(call quote,$(BUILD_GIVEN)) && ln -sfn $(call quote,$(BUILD_GIVEN)) $(BUILD) && echo linked),linked)
$(error BUILD "$(BUILD_GIVEN)" has a space, so that it needs a link in this folder, and it cannot be made)
endif
else ifeq ($(BUILD),)
$(error BUILD is empty: it names the folder to build in)
endif

# ---- with what ----

ask     = $(if $(APXS),$(shell $(APXS) -q $(1) 2>/dev/null))
APR     := $(call ask,APR_CONFIG)
APU     := $(call ask,APU_CONFIG)
# as headers of the system, so that a compiler warns of ours alone
system   = $(patsubst -I%,-isystem%,$(filter-out -I/usr/include,$(1)))
APR_INC := $(if $(APR),$(call system,$(sort $(shell $(APR) --includes --cppflags; $(APU) --includes))))
APR_LIB := $(if $(APR),$(shell $(APU) --link-ld --libs) $(shell $(APR) --link-ld --libs))
AP_INC  := $(call system,-I$(call ask,INCLUDEDIR)) $(APR_INC)

# httpd's compiler, where it is installed
ifeq ($(origin CC),default)
CC      := $(call ask,CC)
CC      := $(or $(if $(CC),$(shell command -v $(firstword $(CC)) >/dev/null && echo '$(CC)')),cc)
endif

FLAGS_GIVEN := $(strip $(foreach name,CC CPPFLAGS CFLAGS LDFLAGS,\
	$(filter-out undefined default file,$(origin $(name)))))
CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra -Wformat -Wformat-security -Werror=format-security $(if $(CI),-Werror)

ifeq ($(origin HARDENING),undefined)
HARDENING := $(shell conf/harden $(CC))
endif
# FORTIFY needs optimisation, hides from sanitizers what they look for, and may
# have been set already.
optimisation := $(lastword $(filter -O%,$(CC) $(CPPFLAGS) $(CFLAGS)))
fortified    := $(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS))
sanitized    := $(SANITIZE)$(findstring -fsanitize,$(CPPFLAGS) $(CFLAGS))
FORTIFY      := $(if $(filter-out -O0,$(optimisation)),$(if $(fortified)$(sanitized),,\
	$(addprefix -U_FORTIFY_SOURCE ,$(filter -D_FORTIFY_SOURCE=%,$(HARDENING)))))
HARDEN       := $(filter-out -D% -Wl$(comma)%,$(HARDENING)) $(FORTIFY)

# What is built does not tell where: two builds are the same, whatever the folder.
PLACELESS    := $(if $(SANITIZE),,-ffile-prefix-map=$(call quote,$(CURDIR))=. -ffile-prefix-map=$(BUILD)=build)

BASE    := -std=gnu11 -fPIC -fvisibility=hidden -pthread $(WARN) $(HARDEN) $(PLACELESS) \
	$(CPPFLAGS) $(CFLAGS) $(SANITIZE)
LINK    := $(filter -Wl$(comma)%,$(HARDENING)) $(SANITIZE) $(LDFLAGS)

# ---- how loudly ----

# One line for each file; V=1 shows the commands, and `make -s` nothing.
silent  := $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
# $(call brief,WORD,name) stands before a command
brief    = $(if $(V),,@$(if $(silent),,printf '%-4s %s\n' '$(1)' '$(2)';))

# ---- what has changed ----

# $(call renew,text): makes the target anew when its text is another one
renew    = mkdir -p $(@D) && printf '%s\n' $(call quote,$(strip $(1))) >$@.new && \
	{ cmp -s $@.new $@ && rm $@.new || mv $@.new $@; }

# `sudo make install` mostly lacks the environment of the `make` before it: what
# was built is installed, unless flags are given.
FORCE_FLAGS := $(if $(filter install,$(MAKECMDGOALS)),$(if $(FLAGS_GIVEN),FORCE),FORCE)

# -Werror changes nothing in what is built
FLAGS   := $(CC) $(filter-out -Werror,$(BASE)) / $(LINK) / $(AP_INC) / $(APR_LIB)

# Everything is built after it, and built anew when it is new. Before the first
# build, and one with other flags, it says what a build needs and is missing.
$(BUILD)/flags: $(FORCE_FLAGS)
	@printf '%s\n' $(call quote,$(strip $(FLAGS))) | cmp -s - $@ || { \
	    CC=$(call quote,$(CC)) APXS=$(call quote,$(APXS)) \
	        conf/deps --check build $(if $(filter /usr/bin/python3,$(PYTHONS)),python); }
	@[ -e $@ ] || { $(need_pythons); }
	@$(call renew,$(FLAGS))

need_pythons = for python in $(PYTHONS); do conf/python $$python >/dev/null || { \
	    echo "No engine can be built for $$python, which PYTHONS names. Name another" >&2; \
	    echo 'Python, as in: make PYTHONS=/usr/bin/python3 (which `make deps` installs).' >&2; \
	    exit 1; }; done

FORCE:
.PHONY: FORCE

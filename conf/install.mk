# SPDX-License-Identifier: Apache-2.0
# install.mk: what people do with a checkout: get what it needs, run, install

PORT    ?= 8080
FOR     ?= install
VERSION := $(shell sed -n 's/.*WEAVE_VERSION "\(.*\)"/\1/p' src/core/weave_version.h)

# ---- what is needed ----

deps:  ## install what building and installing need and is missing (FOR="run test")
	@CC=$(call quote,$(CC)) APXS=$(call quote,$(or $(APXS),apxs)) conf/deps $(FOR)

# What is looked up when make starts, like apxs, may only be there after it:
# so the work is done by another make.
deps-run:
	@conf/deps run

# ---- make run ----

run: deps-run  ## serve a Sync server on 127.0.0.1:8080 (PORT=...) until Ctrl-C
	@$(MAKE) --no-print-directory all
	@exec env BUILD=$(BUILD) APXS=$(call quote,$(or $(APXS),apxs)) \
	    PYTHON=$(firstword $(PYTHONS)) WHEELS=$(call quote,$(WHEELS)) conf/run $(call quote,$(PORT))

clean-run:  ## remove what make run made, its data too
	@if [ -L run/place ]; then \
	    place=$$(readlink run/place); rm -rf "$$place"; \
	    rmdir --ignore-fail-on-non-empty "$${place%/*}"; \
	fi
	rm -rf run

# ---- make install ----

# httpd's own folders, or with `prefix` those below it that are called the same.
# Configuration is always where httpd reads it.
APXS_PREFIX = $(patsubst %/,%,$(call ask,exec_prefix))
placed      = $(if $(prefix),$(patsubst $(APXS_PREFIX)/%,$(prefix)/%,$(1)),$(1))

LIBEXECDIR ?= $(call placed,$(call ask,LIBEXECDIR))
SBINDIR    ?= $(call placed,$(or $(call ask,SBINDIR),/usr/sbin))
CONFDIR    ?= $(call ask,SYSCONFDIR)
DOCDIR     ?= $(call placed,$(or $(patsubst %/,%,$(dir $(call ask,datadir))),/usr/share)/doc/mod_weave)
INI        ?= /etc/sync.ini
# debian (mods-available) or conf.d; default: what is there
LAYOUT     ?=

INSTALL = env $(foreach name,DESTDIR BUILD LIBEXECDIR SBINDIR CONFDIR DOCDIR INI LAYOUT FORCE,\
	$(name)=$(call quote,$($(name)))) conf/install

install: all  ## install module, engines, configuration and docs (DESTDIR=, prefix=)
	@$(INSTALL)

uninstall:  ## remove what make install has installed; a changed sync.ini stays
	@$(INSTALL) --remove

# ---- archives ----

sdist:  ## build/dist/WeaveServer-VERSION.tar.gz, for pip
	@PYTHON='$(firstword $(PYTHONS))' conf/sdist $(BUILD)/dist

dist:  ## build/dist/mod_weave-VERSION.tar.gz of the last commit
	@mkdir -p $(BUILD)/dist
	git archive --prefix=mod_weave-$(VERSION)/ \
	    -o $(BUILD)/dist/mod_weave-$(VERSION).tar.gz HEAD

.PHONY: deps deps-run run clean-run install uninstall sdist dist

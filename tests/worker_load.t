#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# weave-worker under clients that do what clients may; see worker_load.c.

exec "${BUILD:-build}/tests/worker_load" "${BUILD:-build}" "${SECONDS_EACH:-3}"

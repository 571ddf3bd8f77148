#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A tenth of what `make soak` does to worker processes: graceful restarts and
# generations in a row. SOAK_PERCENT says how much of it.

top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top" || exit 1
exec tests/bench/soak --build "${BUILD:-build}" --servers workers \
    --percent "${SOAK_PERCENT:-10}" --requests 0

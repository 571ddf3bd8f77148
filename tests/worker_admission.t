#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What weave-worker starts during maintenance; see worker_admission.c.

exec "${BUILD:-build}/tests/worker_admission" "${BUILD:-build}"

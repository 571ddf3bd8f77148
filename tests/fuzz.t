#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every fuzzer's corpus, through the code that it was found with.

set -eu
here=$(dirname "$0")
number=0
for program in "${BUILD:-build}"/tests/replay_*; do
    [ -x "$program" ] || continue
    number=$((number + 1))
    name=${program##*/replay_}
    if output=$("$program" "$here/fuzz/corpus/$name" 2>&1); then
        echo "ok $number - $name"
    else
        echo "not ok $number - $name"
        echo "$output" | sed 's/^/# /'
    fi
done
[ $number -gt 0 ] || echo "Bail out! no fuzzer has been built"
echo "1..$number"

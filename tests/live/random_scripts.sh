#!/bin/bash
# timeout: 300
# Random scripts print the same in each runtime, with and without the optimiser; the first one's seed is printed.
count=40
[ -n "$STAP_VM" ] && count=4
exec tests/fuzz/differ --stap "${STAP:-build/stap}" --dir "${TMPDIR:-/tmp}" --count $count --batch 4 --jobs 1 --shrink 60

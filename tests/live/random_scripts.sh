#!/bin/bash
# timeout: 300
# Random scripts print the same with and without the optimiser (tests/fuzz/scripts); the seed is printed.
exec tests/fuzz/scripts -n 100 -w user,user-u -j 1 --shrink 60

#!/bin/bash
# The manual pages tell of what there is: every option, kind of probe point and function.
# flags: quick
. tests/lib/live.sh

command -v python3 >/dev/null || skip python3
scripts/stapfuncs.py "$STAP" >"$TMPDIR/stapfuncs" || fail "scripts/stapfuncs.py"
checks=$((checks + 1))
diff -u docs/man/stapfuncs.3stap "$TMPDIR/stapfuncs" | head -20 >"$TMPDIR/diff"
[ -s "$TMPDIR/diff" ] && fail "docs/man/stapfuncs.3stap isn't what scripts/stapfuncs.py makes: $(cat "$TMPDIR/diff")"

plain() { sed 's/^\.[A-Z]* *//; s/\\f[A-Z]//g; s/\\-/-/g; s/\\(dq/"/g; s/[" ]//g' "$1"; }
plain docs/man/stap.1 >"$TMPDIR/stap"
plain docs/man/stapprobes.3stap >"$TMPDIR/probes"
while read -r option; do
  checks=$((checks + 1))
  grep -qF -e "$option" "$TMPDIR/stap" || fail "stap.1 doesn't mention $option"
done < <("$STAP" --help | grep -oE '^ +-[-a-zA-Z]+' | tr -d ' ' | sort -u)
while read -r kind; do
  checks=$((checks + 1))
  grep -qF -e "${kind%%(*}" "$TMPDIR/probes" || fail "stapprobes.3stap doesn't mention $kind"
done < <("$STAP" --dump-probe-types | sed 's/\.randomize.*//' | sort -u)

if command -v man >/dev/null; then
  for page in docs/man/*; do
    checks=$((checks + 1))
    warnings=$(man -l --warnings "$page" 2>&1 >/dev/null | grep -v 'cannot\|locale')
    [ -z "$warnings" ] || fail "$page: $warnings"
  done
fi
finish

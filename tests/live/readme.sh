#!/bin/bash
# Runs every example of README.md: each ```console block is a command ("$ ", continued by "> ") and
# what it prints.  The output must be the same, unless a comment in front of the block says how
# it may vary:
#   <!-- check: line REGEX -->   some line of the output matches, instead
#   <!-- check: status N -->     the exit status, 0 if not given
# Exits with 0, 1, or 77 where the kernel doesn't let programs be loaded.
set -u
cd "$(dirname "$0")/../.." || exit 1
stap=$(realpath "${STAP:-build/stap}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
ln -s "$stap" "$work/bin/stap"
PATH=$work/bin:$PATH

if ! stap -e 'probe begin { exit() }' 2>"$work/err"; then
  cat "$work/err"
  exit 77
fi

awk -v dir="$work" '
  /^<!-- check: / { sub(/^<!-- check: /, ""); sub(/ -->$/, ""); check[++nchecks] = $0; next }
  /^```console/ { inside = 1; n++; base = sprintf("%s/%03d", dir, n)
                  printf "" > (base ".cmd"); printf "" > (base ".out"); printf "" > (base ".check")
                  for (i = 1; i <= nchecks; i++) print check[i] > (base ".check")
                  nchecks = 0; next }
  /^```/ { inside = 0; next }
  inside && /^\$ / { print substr($0, 3) > (base ".cmd"); next }
  inside && /^> / { print substr($0, 3) > (base ".cmd"); next }
  inside { print > (base ".out") }
' README.md

failed=0 count=0
for cmd in "$work"/*.cmd; do
  base=${cmd%.cmd}
  count=$((count + 1))
  want=$(sed -n 's/^status //p' "$base.check")
  timeout 60 bash "$cmd" >"$base.got" 2>&1 </dev/null
  status=$?
  ok=1
  [ "$status" = "${want:-0}" ] || ok=0
  if grep -q '^line ' "$base.check"; then
    while read -r regex; do
      grep -Eq -- "$regex" "$base.got" || ok=0
    done < <(sed -n 's/^line //p' "$base.check")
  else
    cmp -s "$base.out" "$base.got" || ok=0
  fi
  if [ $ok = 0 ]; then
    failed=$((failed + 1))
    echo "README.md example failed with status $status:"
    cat "$cmd"
    echo "--- printed:"
    head -20 "$base.got"
    echo "--- expected:"
    cat "$base.check" "$base.out"
  fi
done
echo "$((count - failed)) of $count README examples passed"
[ "$count" -gt 0 ] && [ "$failed" = 0 ]

#!/bin/bash
# Where output goes, and what is said when it can't.
# flags: quick
. tests/lib/live.sh

script='probe begin { for (i = 0; i < 100; i++) println("line ", i) exit() } probe end { println("end") }'
for rt in $(runtimes); do
  run --runtime="$rt" -o "$TMPDIR/file" -e "$script"
  check "$rt: -o status" 0 "$status"
  check "$rt: -o prints nothing" "" "$out"
  check "$rt: -o lines" 101 "$(wc -l <"$TMPDIR/file")"

  run --runtime="$rt" -o "$TMPDIR/no/such/folder" -e "$script"
  check "$rt: unwritable status" 1 "$status"
  has "$rt: unwritable" "^ERROR: Couldn't open .*no/such/folder: No such file or directory" "$err"

  run --runtime="$rt" -o /dev/full -e "$script"
  check "$rt: full disk status" 1 "$status"
  has "$rt: full disk" "^ERROR: Couldn't write /dev/full: No space left" "$err"

  timeout 20 "$STAP" --runtime="$rt" -e "$script" >/dev/full 2>"$TMPDIR/err"
  check "$rt: full standard output, status" 1 $?
  has "$rt: full standard output" "^ERROR: Couldn't write standard output: No space left" "$(cat "$TMPDIR/err")"

  timeout 20 "$STAP" --runtime="$rt" -e 'probe timer.ms(1) { for (i = 0; i < 100; i++) println("line ", i) }' 2>"$TMPDIR/err" | head -1 >/dev/null
  check "$rt: closed pipe, status" 1 "${PIPESTATUS[0]}"
  check "$rt: closed pipe" 1 "$(grep -c 'Broken pipe' "$TMPDIR/err")"

  run --runtime="$rt" -S 1,2 -o "$TMPDIR/turns" -e 'probe begin { for (i = 0; i < 40000; i++) printf("%080d\n", i) exit() }' --suppress-time-limits -g -DMAXACTION=1000000
  check "$rt: -S status" 0 "$status"
  check "$rt: -S keeps the newest" "turns.2 turns.3" "$(cd "$TMPDIR" && echo turns*)"
  check "$rt: -S, the last line" "$(printf '%080d' 39999)" "$(tail -1 "$TMPDIR/turns.3")"
  rm -f "$TMPDIR"/turns*

  timeout 20 "$STAP" --runtime="$rt" -DMAXERRORS=1 -e 'probe begin { println("one") error("a") } probe begin { println("two") error("b") }
    probe error { println("three") }' >"$TMPDIR/both" 2>&1
  check "$rt: errors come where they happen" "one ERROR: two ERROR: three WARNING: Pass" "$(cut -d' ' -f1 "$TMPDIR/both" | xargs)"
done
finish

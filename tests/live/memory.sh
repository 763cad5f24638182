#!/bin/bash
# flags: quick
# timeout: 60
# Memory of a process in text: strings whole, cut, quoted, absent, and the bytes of %m and %M, printed and in strings.
set -u

cat >"$TMPDIR/memory.stp" <<'END'
probe syscall.write {
  if (pid() != target() || fd != 1) next
  printf("%.*m|%M|%8.3M|%-12.3m|\n", 3, buf_uaddr, buf_uaddr, buf_uaddr, buf_uaddr)
  printf("%#.4m|%#.4M|%d\n", buf_uaddr, buf_uaddr, 42)
  println(sprintf("%#.4m|%#.4M|%8.2M|%-8.2M|%.0m|", buf_uaddr, buf_uaddr, buf_uaddr, buf_uaddr, buf_uaddr))
  try { printf("%4m|%M|%s\n", 8, 8, "not printed") } catch (e) { println(e) }
  try { println(sprintf("%#.*M|", 4, 32)) } catch (e) { println(e) }
  try { printf("%.2m|\n", 0xffff800000000010) } catch (e) { println(e) }
  printf("%.0m|%.*M|%.*M|\n", 8, 0, 8, -1, buf_uaddr)
  s = user_string_n(buf_uaddr, 5)
  println(s, "|", strlen(s), "|", user_string_n(buf_uaddr, 0), "|")
  println(user_string_n_quoted(buf_uaddr, 7), user_string_n_quoted(buf_uaddr, 2), user_string_quoted(8))
  println(user_string(8, "nothing there"), user_string_n(8, 3, "!"), kernel_string(8, "?"))
  try { println(user_string(8)) } catch (e) { println(e) }
  try { println(kernel_string(16)) } catch (e) { println(e) }
  exit()
}
END
cat >"$TMPDIR/want" <<'END'
hel|68|  68656c|hel         |
hell|68656c6c|42
hell|68656c6c|    6865|6865    ||
||68|
hello|5||
"hello\tw"..."he"...0x8
nothing there!?
END
timeout 50 "$STAP" "$TMPDIR/memory.stp" -c "printf 'hello\tworld'" -o "$TMPDIR/out" >/dev/null || exit 1
sed -n 's/^read fault .* at //p' "$TMPDIR/out" | tr '\n' ' ' | grep -qxF '0x8 0x20 0xffff800000000010 0x8 0x10 ' ||
  { echo "wrong faults:"; cat "$TMPDIR/out"; exit 1; }
grep -v 'read fault' "$TMPDIR/out" | diff "$TMPDIR/want" -

# For live tests: . tests/lib/live.sh; then check NAME WANT GOT and so on; finish at the end.
failed=0 checks=0

fail() {
  echo "FAILED: $*"
  failed=$((failed + 1))
}

# check WHAT EXPECTED GOT
check() {
  checks=$((checks + 1))
  [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

# run ARGS...: stap with these arguments; its output, standard error and exit status are in $out, $err, $status
run() {
  timeout 20 "$STAP" "$@" >"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null
  status=$?
  out=$(cat "$TMPDIR/out") err=$(cat "$TMPDIR/err")
}

# has WHAT REGEX TEXT: some line matches
has() {
  checks=$((checks + 1))
  grep -Eq -- "$2" <<<"$3" || fail "$1: no line like '$2' in: $3"
}

skip() {
  echo "$*"
  exit 77
}

# The runtimes that can be tried here.
runtimes() {
  echo user
  [ "$(id -u)" != 0 ] || echo bpf
}

finish() {
  echo "$checks checks, $failed failed"
  [ "$failed" = 0 ]
  exit
}

#!/bin/sh
# scripts/deps.sh GROUP...: installs the packages that are missing, on Debian and Ubuntu.
#   build   compiles stap                  test   what the tests compare with and run in
#   fuzz    the fuzzers' run-time library
#   lint    make format, make tidy         bench  what the benchmarks compare with
# Quick and silent when nothing is missing.
set -eu

packages() {
  case $1 in
  build) echo gcc make clang libbpf-dev libelf-dev libdw-dev zlib1g-dev libc6-dev linux-libc-dev ;;
  test) echo python3 procps systemtap-doc qemu-system-x86 busybox-static cpio "$(kernel_image)" ;;
  fuzz) echo clang libclang-rt-dev ;;
  lint) echo clang-format clang-tidy ;;
  bench) echo bpftrace bpftool ;;
  *) echo "deps.sh: no group '$1'" >&2; exit 2 ;;
  esac
}

# The kernel that tests boot in a virtual machine.
kernel_image() {
  case $(. /etc/os-release && echo "$ID") in
  ubuntu) echo linux-image-generic ;;
  *) echo linux-image-amd64 ;;
  esac
}

wanted=
for group in "$@"; do wanted="$wanted $(packages "$group")"; done

if ! command -v dpkg-query >/dev/null; then
  echo "deps.sh: no Debian or Ubuntu; please install the equivalents of:$wanted" >&2
  exit 0
fi

missing=
for p in $wanted; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
  as_root=sudo
  command -v sudo >/dev/null || { echo "deps.sh: as root, please: apt-get install$missing" >&2; exit 1; }
fi
echo "installing:$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >"$log" 2>&1; }
# the lists of packages are fetched only when what there is doesn't do
install || { $as_root apt-get update -qq >"$log" 2>&1 && install; } || { cat "$log" >&2; exit 1; }

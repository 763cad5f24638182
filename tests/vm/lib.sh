# Boots the second kernel that stap is tested on: Debian's 6.1, under QEMU's software emulation (no KVM needed).
#
# The guest has no disk image. An initramfs of busybox and a dozen modules mounts the host's / read-only over 9p, lays a
# tmpfs on it and switches root, so that the guest sees the build tree, bash, python and every other tool of the host,
# and may write anywhere without the host noticing. A second 9p share, writable, carries the job in and its results out.
#
# Sourced by run, check and shell. Sets vm_dir (the share) and vm_log (the console); vm_boot fails unless the guest
# reached its power-off by itself. VM_LOG names a file that the console is appended to, VM_APPEND holds words for the
# kernel's command line.

vm_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vm_packages="qemu-system-x86 linux-image-amd64 busybox-static cpio"
vm_modules="virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci netfs fscache 9pnet 9pnet_virtio 9p overlay"

# Finds the newest 6.1 kernel with its modules, or says which packages to install.
vm_find() {
    vm_kernel=$(ls -v /boot/vmlinuz-6.1* 2>/dev/null | tail -n 1)
    vm_release=${vm_kernel#/boot/vmlinuz-}
    if ! command -v qemu-system-x86_64 >/dev/null || ! command -v cpio >/dev/null || [ ! -x /bin/busybox ] ||
        [ -z "$vm_kernel" ] || [ ! -d "/lib/modules/$vm_release" ]; then
        echo "vm: install $vm_packages (scripts/deps.sh test)" >&2
        return 1
    fi
}

# Writes $vm_dir/initramfs: busybox, the modules, and tests/vm/init.
vm_initramfs() {
    local root=$vm_dir/initramfs.d name file
    mkdir -p "$root"/{bin,modules,proc,dev,host,rw,new}
    cp /bin/busybox "$root/bin/"
    cp "$vm_here/init" "$root/init"
    for name in $vm_modules; do
        file=$(find "/lib/modules/$vm_release/kernel" -name "$name.ko*" | head -n 1)
        [ -n "$file" ] || continue # built in
        cp "$file" "$root/modules/$name.ko" && echo "$name" >>"$root/modules/order"
    done
    (cd "$root" && find . | cpio -o -H newc --quiet) >"$vm_dir/initramfs" && rm -r "$root"
}

# vm_prepare: makes an empty share with everything but the job (a bash script, $vm_dir/job).
vm_prepare() {
    vm_find || return
    vm_dir=$(mktemp -d "${TMPDIR:-/tmp}/vm.XXXXXX") || return
    vm_log=$vm_dir/console
    cp "$vm_here/guest" "$vm_dir/guest" && vm_initramfs
}

# vm_qemu CONSOLE-OPTIONS... replaces the shell by the emulator. A panic or an oops ends it (panic=-1, -no-reboot).
# Its CPUs take turns: one thread each is no use before QEMU 8.1, which may go on with code that another CPU has just
# patched (the kernel's int3, at tracepoints).
vm_qemu() {
    exec qemu-system-x86_64 -accel tcg,thread=single,tb-size=512 -cpu max -smp 2 -m 3072 -no-reboot -nodefaults "$@" \
        -virtfs local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap \
        -virtfs "local,path=$vm_dir,mount_tag=share,security_model=none" \
        -kernel "$vm_kernel" -initrd "$vm_dir/initramfs" \
        -append "console=ttyS0 loglevel=7 panic=-1 oops=panic unknown_nmi_panic nokaslr mitigations=off lpj=5000000 no_timer_check ${VM_APPEND-}"
}

# Makes a guest that hangs panic, so that its console tells where it was.
vm_nmi() {
    python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"nmi\n")
time.sleep(3)' "$vm_dir/monitor" 2>/dev/null
}

# Starts the emulator with the console in $vm_log; waits until it ends, or until the guest fails to come up in time, which an
# emulated machine on a busy host sometimes does. Returns the emulator's status (124: killed after SECONDS); 99: did not come up.
vm_attempt() {
    local pid waited=0
    export -f vm_qemu
    export vm_dir vm_kernel VM_APPEND
    timeout -k 5 "$1" bash -c 'vm_qemu -display none -monitor "unix:$vm_dir/monitor,server,nowait" -serial "file:$1"' \
        vm "$vm_log" </dev/null &
    pid=$!
    trap "vm_nmi; kill $pid 2>/dev/null" TERM
    while [ ! -e "$vm_dir/up" ] && kill -0 $pid 2>/dev/null; do
        sleep 0.2
        if [ $((++waited)) = 600 ]; then
            kill $pid
            wait $pid
            return 99
        fi
    done
    wait $pid
}

# vm_boot SECONDS: runs the job. Status 0 when the guest ended in good order, else 1 after saying how it died.
vm_boot() {
    local rc
    for _ in 1 2 3; do
        vm_attempt "$1"
        rc=$?
        [ -z "${VM_LOG-}" ] || tr -d '\r' <"$vm_log" >>"$VM_LOG"
        [ $rc = 99 ] || break
    done
    [ -e "$vm_dir/done" ] && return 0
    if [ "$rc" = 124 ] || [ "$rc" = 137 ]; then
        echo "vm: the guest did not end within $1 s" >&2
    elif [ "$rc" = 99 ]; then
        echo "vm: the guest did not come up" >&2
    elif grep -q 'Kernel panic' "$vm_log" 2>/dev/null; then
        echo "vm: the guest's kernel panicked" >&2
    else
        echo "vm: the guest stopped before its work was done (emulator's status $rc)" >&2
    fi
    echo "vm: last lines of its console:" >&2
    tail -n 40 "$vm_log" | tr -d '\r' | sed 's/^/vm| /' >&2
    return 1
}

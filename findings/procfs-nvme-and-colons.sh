#!/usr/bin/env bash
# @stroncium/procfs: mounts of NVMe disks get the number of another disk, and cgroup paths end at a colon.
#
# Expected: major and minor number of a device make the number that stat(2) and Python's os.makedev() give; the
# major number has 12 bits, and NVMe disks have 259. The path of a cgroup is all behind the second colon
# (cgroups(7)), and that of a socket in /proc/net/unix all behind the inode.
# Seen: 259:1 becomes 769 instead of 66305, which is 3:1, an old IDE disk, since the major number is cut to 8
# bits. Of the path that containerd makes for a pod, NAME.slice:cri-containerd:ID, the ID is lost. A socket whose
# path holds a space has no path.
#
# Version: @stroncium/procfs 1.2.1, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit @stroncium/procfs@1.2.1 >/dev/null
cat >run.js <<'SCRIPT'
const parsers = require('./node_modules/@stroncium/procfs/lib/parsers.js');

for (const device of ['8:1', '3:1', '259:1']) {
    const [mount] = parsers.processMountinfo(`36 35 ${device} / /data rw,relatime - ext4 /dev/disk rw\n`);
    console.log('device', device, mount.devId);
}
const [cgroup] = parsers.processCgroups('0::/system.slice/kubepods-pod7.slice:cri-containerd:3f1c\n');
console.log('cgroup', cgroup.path);
const sockets = parsers.processNetUnix(`Num       RefCount Protocol Flags    Type St Inode Path
ffff9b61ac49c400: 00000002 00000000 00010000 0001 01 42776 /run/edge.sock
ffff9b61ac49c800: 00000002 00000000 00010000 0001 01 42777 /run/my edge.sock
`);
console.log('sockets', ...sockets.map((socket) => String(socket.path)));
SCRIPT
python3 -c 'import os; print("os.makedev(259, 1):", os.makedev(259, 1))'
seen=$(node run.js)
echo "$seen"
if [ "$seen" != "device 8:1 2049
device 3:1 769
device 259:1 769
cgroup /system.slice/kubepods-pod7.slice
sockets /run/edge.sock undefined" ]; then
    echo "changed: devices, cgroups or sockets are read in another way" >&2
    exit 1
fi

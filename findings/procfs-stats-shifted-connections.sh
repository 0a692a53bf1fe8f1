#!/usr/bin/env bash
# procfs-stats: the user of a TCP connection is its inode, the inode an address in the kernel, and 8080 is 36895.
#
# Expected: a line of /proc/net/tcp has the fields st, tx_queue:rx_queue, tr:tm->when, retrnsmt, uid, timeout and inode
# (proc(5); the kernel's proc_net_tcp.rst), and a port is in hexadecimal digits, the most significant first.
# Seen: the two pairs count as one column each, as which one is left out, and all behind them is shifted by two: the
# inode has become the uid, the reference count the timeout. Of a port the two bytes change places: 8080 is 36895. The
# names of the columns, and IPv4 addresses, are right. Here the text is that of a listener of user 1000.
#
# Version: procfs-stats 1.0.2, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit procfs-stats@1.0.2 >/dev/null
echo "procfs-stats 1.0.2, Node.js $(node --version)"
mkdir -p proc/net
cat >proc/net/tcp <<'TEXT'
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000        0 48213 1 00000000 100 0 0 10 0
TEXT
cat >run.js <<'SCRIPT'
require('procfs-stats').tcp('proc', (error, connections) => {
  if (error) throw error;
  const { local_address: local, rx_queue: queue, uid, timeout, inode } = connections[0];
  console.log(`${local}: rx_queue ${queue}, uid ${uid}, timeout ${timeout}, inode ${inode}`);
});
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != '127.0.0.1:36895: rx_queue 00000003, uid 48213, timeout 1, inode 00000000' ]; then
    echo "changed: connections are read in another way" >&2
    exit 1
fi

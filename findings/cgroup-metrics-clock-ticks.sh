#!/usr/bin/env bash
# @adobe/cgroup-metrics: ten seconds of processor time in user mode are given as 1000 nanoseconds.
#
# Expected: cpu.stat() gives the time in user and kernel mode "in nanoseconds", and calculateUsage() of two of them the
# share of a processor (README). cpuacct.stat counts in USER_HZ, which is 100 a second (the kernel's
# cgroup-v1/cpuacct.rst; time(7)), while cpuacct.usage counts in nanoseconds.
# Seen: the number of ticks is given as it stands, as cpuNanosSinceContainerStart. A container that used 5 s of
# processor time in 10 s has a usage of 50 % by cpu.usage(), and of 0.000005 % by cpu.stat().
#
# Version: @adobe/cgroup-metrics 3.0.6, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit @adobe/cgroup-metrics@3.0.6 >/dev/null
echo "@adobe/cgroup-metrics 3.0.6, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const fs = require('fs');

// The two files as they are ten seconds apart, for a container that uses half of a processor in user mode.
const files = [
    { 'cpuacct.usage': '10000000000\n', 'cpuacct.stat': 'user 1000\nsystem 0\n' },
    { 'cpuacct.usage': '15000000000\n', 'cpuacct.stat': 'user 1500\nsystem 0\n' },
];
let round = 0;
const read = fs.readFileSync;
fs.readFileSync = (path, ...rest) => {
    const name = String(path).startsWith('/sys/fs/cgroup/') && String(path).split('/').pop();
    return name ? Buffer.from(files[round][name]) : read(path, ...rest);
};
Date.now = () => 1796000000000 + 10000 * round;

const { cpu } = require('@adobe/cgroup-metrics');
const usages = [];
const stats = [];
for (round of [0, 1]) {
    usages.push(cpu.usage());
    stats.push(cpu.stat().user);
}
console.log('usage():', usages[0].cpuNanosSinceContainerStart, 'ns, then', cpu.calculateUsage(...usages), '%');
console.log('stat():', stats[0].cpuNanosSinceContainerStart, 'ns, then', cpu.calculateUsage(...stats).toFixed(6), '%');
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'usage(): 10000000000 ns, then 50 %
stat(): 1000 ns, then 0.000005 %' ]; then
    echo "changed: processor times are given in another way" >&2
    exit 1
fi

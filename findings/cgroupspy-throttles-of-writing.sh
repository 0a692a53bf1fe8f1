#!/usr/bin/env bash
# cgroupspy: write throttles cannot be read or set, and block I/O raises ValueError once there has been some.
#
# Expected: throttle_write_bps_device and throttle_write_iops_device are the files
# blkio.throttle.write_bps_device and write_iops_device, like those for reading; blkio.io_service_bytes has
# lines for each device and operation, then a total (blkio-controller.rst), which is what the interface is
# for.
# Seen: the names of both files end in a blank, so that they are not found, while reading throttles are. Of
# blkio.io_service_bytes the second word of the file is taken: with no device this is the total 0, with one it
# is "Read", which raises ValueError. Setting processors as a text, as "0-2,4" or "0,1", raises ValueError,
# too.
#
# Version: cgroupspy 0.2.3. Seen on 2026-11-30. The files of a cgroup v1 are written by the script.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check cgroupspy==0.2.3

mkdir -p cgroup/blkio/edge cgroup/cpuset/edge
echo 0-3 >cgroup/cpuset/edge/cpuset.cpus
for way in read_bps write_bps read_iops write_iops; do
    echo "8:0 1048576" >"cgroup/blkio/edge/blkio.throttle.${way}_device"
done
cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

from cgroupspy.trees import Tree

print("cgroupspy", version("cgroupspy"))
tree = Tree(root_path=str(Path("cgroup").absolute()))
blkio = tree.get_node_by_path("/blkio/edge/").controller
cpuset = tree.get_node_by_path("/cpuset/edge/").controller


def asked(function):
    try:
        return str(function())
    except (OSError, ValueError) as error:
        return type(error).__name__


ways = ("read_bps", "write_bps", "read_iops", "write_iops")
throttles = {way: asked(lambda: getattr(blkio, f"throttle_{way}_device")[0]) for way in ways}
print("throttles of 8:0:", throttles)
totals = {}
for name, lines in (("none", ""), ("one", "8:0 Read 100\n8:0 Write 200\n8:0 Total 300\n")):
    total = "Total 300" if lines else "Total 0"
    Path("cgroup/blkio/edge/blkio.io_service_bytes").write_text(lines + total + "\n")
    totals[name] = asked(lambda: blkio.io_service_bytes)
print("bytes with no device and with one:", totals)
settings = {text: asked(lambda: setattr(cpuset, "cpus", text)) for text in ("0-2,4", "0,1")}
print("setting processors:", settings)

if throttles != {
    "read_bps": "8:0 1048576",
    "write_bps": "FileNotFoundError",
    "read_iops": "8:0 1048576",
    "write_iops": "FileNotFoundError",
}:
    sys.exit("changed: throttles are read in another way")
if totals != {"none": "0", "one": "ValueError"} or set(settings.values()) != {"ValueError"}:
    sys.exit("changed: block I/O or processors are handled in another way")
PYTHON
venv/bin/python run.py

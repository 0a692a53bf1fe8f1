#!/usr/bin/env bash
# binpacker: four bins where three are enough, and removing an item that is not there removes another.
#
# Expected: packing "will return the minimum number of containers needed to fit all items" (docstring and README), and
# Bin.remove(name) removes the item of that name.
# Seen: each bin is filled as full as can be before the next is opened, which is not the minimum: 1, 3, 4, 10, 11
# and 13 fit into three bins of 14 and get four. remove() of a name that no item has removes the last item of the bin
# without an error.
#
# Version: binpacker 0.1.3. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check binpacker==0.1.3
echo "binpacker 0.1.3, $(python3 --version)"
cat >run.py <<'PYTHON'
from binpacker.binpacker import Bin, Binpacker, Item

BY_HAND = [[13, 1], [11, 3], [10, 4]]
packer = Binpacker(14)
packer.items = [Item(f"task-{weight}", weight) for group in BY_HAND for weight in group]
packer.pack_items()
groups = [sorted((item.weight for item in bin.get_items()), reverse=True) for bin in packer.bins]
print(f"{len(groups)} bins {groups}, by hand {len(BY_HAND)} {BY_HAND}")
bin = Bin(10)
for name in ("web", "db", "cache"):
    bin.push(Item(name, 2))
bin.remove("mail")
print("after remove('mail'):", [item.name for item in bin.get_items()])
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != '4 bins [[10, 3, 1], [13], [11], [4]], by hand 3 [[13, 1], [11, 3], [10, 4]]
after remove('\''mail'\''): ['\''db'\'', '\''web'\'']' ]; then
    echo "changed: items are packed in another way" >&2
    exit 1
fi

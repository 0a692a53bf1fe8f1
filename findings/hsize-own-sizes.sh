#!/usr/bin/env bash
# hsize: it refuses the sizes that it writes, and a petabyte is an ekabyte; mhsize: 500 bytes are 0.0KB.
#
# Expected: human2bytes() reads what bytes2human() of the same package writes, 9.77K for 10,000 bytes. 1024^5 bytes are
# a petabyte and 1024^6 an exabyte, as "alternative" has them: 1.00PB and 1.00EB (SI prefixes peta and exa). A size of
# 500 bytes has a text.
# Seen: 9.77K raises "size has wrong format", since a point is none of the letters it knows; so does 10.00B. In
# "verbose" 1024^5 is 1.00 ekabyte and 1024^6 1.00 petabyte: the two are swapped. The fork mhsize has 0.0KB for all
# sizes below 1 KiB, though its docstring has 10.00B for 10.
#
# Versions: hsize 0.0.2, mhsize 0.0.3. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check hsize==0.0.2 mhsize==0.0.3
echo "hsize 0.0.2, mhsize 0.0.3, $(python3 --version)"
cat >run.py <<'PYTHON'
import hsize
import mhsize


def attempt(action, *arguments, **options):
    try:
        return action(*arguments, **options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


for size in (10, 1024, 10000, 5 * 1024**2):
    text = hsize.bytes2human(size)
    print(f"{size} is {text}, read as {attempt(hsize.human2bytes, text)}")
for power in (4, 5, 6):
    print(f"1024^{power}:", *(hsize.bytes2human(1024**power, system) for system in ("alternative", "verbose")))
for size in (1024, 500):
    print(f"mhsize, {size}:", attempt(mhsize.bytes2human, size))
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != '10 is 10.00B, read as ValueError: size has wrong format: 10.00B
1024 is 1.00K, read as ValueError: size has wrong format: 1.00K
10000 is 9.77K, read as ValueError: size has wrong format: 9.77K
5242880 is 5.00M, read as ValueError: size has wrong format: 5.00M
1024^4: 1.00TB 1.00 terabyte
1024^5: 1.00PB 1.00 ekabyte
1024^6: 1.00EB 1.00 petabyte
mhsize, 1024: 1.0KB
mhsize, 500: 0.0KB' ]; then
    echo "changed: sizes are written or read in another way" >&2
    exit 1
fi

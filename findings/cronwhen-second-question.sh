#!/usr/bin/env bash
# cronwhen: an expression that was asked once leaves out the first minute the next time.
#
# Expected: get_next_occurrence() gives the next time for its starting point (README), whatever was asked before: "*/20
# 5 * * *" after 06:05 is 05:00 of the next day.
# Seen: the first answer is right, and so are the answers of 3,000 new expressions by a slow search. If 10:50 is asked
# in between, the same question has the answer 05:20: a field notes that it "has been reached" once, and keeps the note
# for the next question. So it is in a loop over several expressions that are kept, as a scheduler has them.
#
# Version: cronwhen 0.2. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check cronwhen==0.2
echo "cronwhen 0.2, $(python3 --version)"
cat >run.py <<'PYTHON'
from datetime import datetime

from cronwhen.cronwhen import CronExpression


def ask(expression, hour, minute):
    answer = expression.get_next_occurrence(datetime(2026, 11, 30, hour, minute))
    print(f"after {hour:02}:{minute:02}: {answer}")


kept = CronExpression("*/20 5 * * *")
ask(kept, 6, 5)
ask(kept, 10, 50)
ask(kept, 6, 5)
print("a new one:")
ask(CronExpression("*/20 5 * * *"), 6, 5)
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'after 06:05: 2026-12-01 05:00:00
after 10:50: 2026-12-01 05:00:00
after 06:05: 2026-12-01 05:20:00
a new one:
after 06:05: 2026-12-01 05:00:00' ]; then
    echo "changed: answers depend on earlier ones in another way" >&2
    exit 1
fi

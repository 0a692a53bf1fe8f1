#!/usr/bin/env bash
# @webantic/nginx-config-parser: writing what was read changes the order of directives, and drops what follows a '#'.
#
# Expected: toConf(toJSON(text)) means the same. The directives of ngx_http_rewrite_module in a server are executed
# sequentially (its documentation, "Internal Implementation"), so the variable below keeps the path after the first
# rewrite. A number sign in quotes is no comment. crossplane, nginx's own parser, reads both so.
# Seen: directives of one name are put together, so that both rewrites come after both variables, and the variable
# holds the path as it came. sub_filter loses all from the number sign on with its semicolon, and becomes a block
# that holds what the location held.
#
# Versions: @webantic/nginx-config-parser 1.6.1 beside crossplane 0.5.8, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit @webantic/nginx-config-parser@1.6.1 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check crossplane==0.5.8
cat >order.conf <<'CONF'
server {
    rewrite ^/old/(.*)$ /new/$1;
    set $between $uri;
    rewrite ^/new/(.*)$ /final/$1;
}
CONF
cat >sign.conf <<'CONF'
server {
    sub_filter red '#ff0000';
    location / {
        return 204;
    }
}
CONF
cat >run.js <<'SCRIPT'
const fs = require('fs');
const Parser = require('@webantic/nginx-config-parser');
const parser = new Parser();
for (const name of ['order', 'sign']) {
    fs.writeFileSync(`${name}.again`, parser.toConf(parser.toJSON(fs.readFileSync(`${name}.conf`, 'utf8'))));
}
SCRIPT
cat >run.py <<'PYTHON'
import crossplane

for name in ("order", "sign"):
    server = crossplane.parse(f"{name}.conf", check_ctx=False)["config"][0]["parsed"][0]
    lines = [" ".join([line["directive"], *line["args"]]) for line in server["block"]]
    print(f"crossplane, {name}:", "; ".join(lines))
PYTHON
node run.js
seen=$(
    venv/bin/python run.py
    for name in order sign; do echo "written, $name: $(tr -s ' \n' ' ' <$name.again | sed 's/ $//')"; done
)
echo "$seen"
if [ "$seen" != "crossplane, order: rewrite ^/old/(.*)\$ /new/\$1; set \$between \$uri; rewrite ^/new/(.*)\$ /final/\$1
crossplane, sign: sub_filter red #ff0000; location /
written, order: server { rewrite ^/old/(.*)\$ /new/\$1; rewrite ^/new/(.*)\$ /final/\$1; set \$between \$uri; }
written, sign: server { sub_filter red ' location / { return 204; } }" ]; then
    echo "changed: settings are read or written in another way" >&2
    exit 1
fi

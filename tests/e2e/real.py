"""Services as Debian ships them: how each is started, and who writes to it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import NamedTuple

from . import writers
from .edge import SERVICES, Host

IMAGE = "mec-services"
CACHE = Path.home() / ".cache" / "mec-migration"


class Real(NamedTuple):
    """:param command: run by a shell in the container; *options*: of ``docker run``."""

    command: str
    port: int
    connect: writers.Connect
    options: tuple[str, ...] = ()


POSTGRESQL = """
set -e; cd /etc/postgresql/*/main; conf=$PWD; version=$(basename $(dirname $PWD))
echo "host all all 0.0.0.0/0 trust" >> pg_hba.conf
mkdir -p /run/postgresql; chown postgres /run/postgresql
exec setpriv --reuid postgres --regid postgres --init-groups /usr/lib/postgresql/$version/bin/postgres \
  -D /var/lib/postgresql/$version/main -c config_file=$conf/postgresql.conf -c listen_addresses='*'
"""
# It asks for its clients' names, and the testbed has no name server.
MARIADB = """
set -e; mkdir -p /run/mysqld
cat > /tmp/init.sql <<SQL
CREATE DATABASE IF NOT EXISTS test;
CREATE USER IF NOT EXISTS mover IDENTIFIED BY 'x';
GRANT ALL ON test.* TO mover;
SQL
exec mariadbd --user=root --bind-address=0.0.0.0 --skip-name-resolve --init-file=/tmp/init.sql
"""
VALKEY = "cd /var/tmp; exec valkey-server --protected-mode no --bind 0.0.0.0 %s"
SERVICES_MOVED = {
    "postgresql": Real(POSTGRESQL, 5432, writers.postgresql, ("--shm-size=256m",)),
    "mariadb": Real(MARIADB, 3306, writers.mariadb),
    "nginx": Real("exec nginx -c /srv/programs/nginx.conf", 8080, writers.Echo),
    "memcached": Real("exec memcached -u root -m 128", 11211, writers.Memcached),
    "valkey-aof": Real(VALKEY % "--appendonly yes", 6379, writers.Valkey),
    "valkey-bgsave": Real(VALKEY % "", 6379, writers.ValkeySaving),
    "java-g1": Real("exec java -XX:+UseG1GC /srv/programs/Store.java", 8080, writers.Http),
    "java-zgc": Real("exec java -XX:+UseZGC /srv/programs/Store.java", 8080, writers.Http),
    "node": Real("exec node /srv/programs/store.js", 8080, writers.Http),
    "etcd": Real(
        "exec etcd --data-dir /var/tmp/etcd --listen-client-urls http://0.0.0.0:2379 "
        "--advertise-client-urls http://0.0.0.0:2379",
        2379,
        writers.Etcd,
    ),
    "rabbitmq": Real(
        "echo loopback_users = none > /etc/rabbitmq/rabbitmq.conf; export HOME=/root; "
        "exec /usr/lib/rabbitmq/bin/rabbitmq-server",
        5672,
        writers.RabbitMq,
    ),
    "go": Real("exec store", 8080, writers.Http),
    "mosquitto": Real("exec mosquitto -c /srv/programs/mosquitto.conf", 1883, writers.Mqtt),
    "prometheus": Real(
        "exec prometheus --config.file=/srv/programs/prometheus.yml --web.listen-address=:9090 "
        "--storage.tsdb.path=/var/tmp/prometheus --web.enable-remote-write-receiver",
        9090,
        writers.Prometheus,
    ),
    "haproxy": Real("exec haproxy -f /srv/programs/haproxy.cfg", 8080, writers.Echo),
}


def run_words(name: str, *options: str) -> list[str]:
    """The words of ``docker run`` for one of them, with more *options*."""
    real = SERVICES_MOVED[name]
    words = ["run", "--detach", "--name", name, "--publish", f"{real.port}:{real.port}"]
    return [*words, *real.options, *options, IMAGE, "sh", "-c", real.command]


def bring_image(hosts: list[Host]) -> None:
    """The image that has them all onto each host; it is built where this machine has none yet."""
    files = sorted(path for path in (SERVICES / "real").rglob("*") if path.is_file())
    key = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    root = CACHE / f"services-{key}.tar"
    if not root.exists():
        subprocess.run([str(SERVICES / "real" / "build-root.sh"), str(root)], check=True)
    for host in hosts:
        if not host.docker("image", "ls", "--quiet", f"{IMAGE}:{key}"):
            with root.open("rb") as content:
                subprocess.run([*host.ssh, f"docker import - {IMAGE}:{key}"], stdin=content, check=True)
        host.docker("tag", f"{IMAGE}:{key}", IMAGE)

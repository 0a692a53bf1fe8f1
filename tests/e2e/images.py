"""Images that one edge host gets from another, as the testbed has no registry."""

from __future__ import annotations

import shlex
import subprocess

from .edge import Host


def copy_image(image: str, source: Host, target: Host) -> None:
    save = [*source.ssh, shlex.join(["docker", "save", image])]
    with subprocess.Popen(save, stdout=subprocess.PIPE) as saving:
        load = [*target.ssh, "docker load"]
        subprocess.run(load, stdin=saving.stdout, check=True, capture_output=True, timeout=300)
    assert saving.returncode == 0, f"{source.name} could not save {image}"

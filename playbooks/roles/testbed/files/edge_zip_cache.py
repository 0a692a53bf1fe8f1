"""Keeps what Python compiles out of zip files, which is where Ansible's modules come from.

In an emulated virtual machine that takes most of a module's time. A .pth file starts it.
"""

import _imp
import hashlib
import marshal
import os
import zipimport

CACHE = "/var/cache/edge-zip-cache"

_compile = zipimport._compile_source


def _cached(pathname, source):
    kept = os.path.join(CACHE, hashlib.sha256(source).hexdigest())
    try:
        with open(kept, "rb") as file:
            code = marshal.load(file)  # noqa: S302 - only root can write there
    except (OSError, EOFError, ValueError, TypeError):
        code = _compile(pathname, source)
        _keep(kept, code)
    else:
        _imp._fix_co_filename(code, pathname)
    return code


def _keep(kept, code):
    part = f"{kept}.{os.getpid()}"
    try:
        with open(part, "wb") as file:
            marshal.dump(code, file)
        os.rename(part, kept)
    except OSError:
        pass


zipimport._compile_source = _cached

# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the parts of an evaluation on the workers of a dask.distributed cluster.

Workers need numpy and nothing of Ansible: the code of the parts is sent to them, under a name that has the
digest of the code in it. So a worker never computes with an older version that it happens to have.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from ..base.errors import DecisionError
from .parts import Part, fingerprint
from .runner import Progress

PACKAGES = ("base", "inputs", "mdp", "evaluation")
CONNECT_S, WORKERS_S = 15, 30
REMEDY = (
    "a scheduler needs dask.distributed on the controller: python3 -m pip install 'distributed>=2024.8', or "
    "'mec-migration[sweep]'"
)
LOST = "lost, since the scheduler has ended or cannot be reached any more; run it again"
# A part that took its worker down with it so often does so everywhere: memory is short, most of the time.
ATTEMPTS = 3


def code() -> tuple[str, bytes]:
    """Name of the package for workers, and the zip file that holds it; the same bytes for the same code."""
    here = Path(__file__).parents[1]
    files = {
        f"{package}/{path.name}": path.read_bytes()
        for package in PACKAGES
        for path in sorted((here / package).glob("*.py"))
        # It needs dask, and runs here only.
        if path.name != Path(__file__).name
    }
    for package in ("", *(f"{package}/" for package in PACKAGES)):
        files.setdefault(f"{package}__init__.py", b"")
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    name = f"mec_migration_parts_{digest.hexdigest()[:16]}"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(f"{name}/{path}"), content)
    return name, packed.getvalue()


class Cluster:
    """A dask.distributed cluster, by the address of its scheduler.

    :param said: gets a sentence for each worker whose results may differ in their last bits.
    """

    def __init__(self, address: str, said: list[str] | None = None) -> None:
        self._address = address
        self._said = [] if said is None else said

    def run(
        self, parts: Sequence[Part], shared: Mapping[str, Any], wanted: Collection[int], progress: Progress
    ) -> dict[int, dict[str, Any]]:
        """Run them as their needs allow, on all workers."""
        try:
            import distributed  # noqa: PLC0415
        except ImportError as error:
            raise DecisionError(f"scheduler is {self._address!r}: {REMEDY}") from error
        with _shipped() as (archive, module):
            try:
                client = distributed.Client(
                    self._address, timeout=f"{CONNECT_S}s", set_as_default=False, name="mec.migration"
                )
            except (OSError, ValueError, TypeError) as error:
                raise DecisionError(
                    f"no scheduler of dask.distributed answers at {self._address!r} within {CONNECT_S} s: "
                    f"{error or type(error).__name__}; is it tcp://<host>:8786, and does 'dask scheduler' "
                    "run there, of the same version?"
                ) from error
            with client:
                self._check(client, archive, module)
                return self._run(client, module, parts, shared, wanted, progress)

    def _check(self, client: Any, archive: Path, module: ModuleType) -> None:
        """The workers have the code, and compute as this process does."""
        try:
            client.wait_for_workers(1, timeout=WORKERS_S)
        except TimeoutError as error:
            raise DecisionError(
                f"{self._address}: no worker has come in {WORKERS_S} s; start some: dask worker "
                f"{self._address}"
            ) from error
        try:
            client.upload_file(str(archive))
            found: dict[str, dict[str, str]] = client.run(module.fingerprint)
        except Exception as error:
            raise DecisionError(
                f"{self._address}: a worker cannot run the parts: {error}; workers need Python 3.10 "
                "or later and numpy"
            ) from error
        own = fingerprint()
        for worker, theirs in sorted(found.items()):
            if theirs["numpy"] != own["numpy"]:
                raise DecisionError(
                    f"{self._address}: worker {worker} has numpy {theirs['numpy']}, this process "
                    f"{own['numpy']}; results are the same with the same version only. Install one of the "
                    "two on both"
                )
            if theirs["digest"] != own["digest"]:
                self._said.append(
                    f"worker {worker} rounds otherwise than this process (another kind of processor, or of "
                    "BLAS): results may differ in their last digits"
                )

    def _run(
        self,
        client: Any,
        module: ModuleType,
        parts: Sequence[Part],
        shared: Mapping[str, Any],
        wanted: Collection[int],
        progress: Progress,
    ) -> dict[int, dict[str, Any]]:
        import distributed  # noqa: PLC0415

        begun = time.monotonic()
        # A list of its own for each: dask would take a list for several values to be spread.
        values = {
            name: client.scatter([value], hash=False, broadcast=True)[0] for name, value in shared.items()
        }
        futures: list[Any] = []
        for part in parts:
            given = [values[name] for name in part.shared], [futures[place] for place in part.needs]
            futures.append(
                client.submit(
                    module.run_part,
                    part.function,
                    *given,
                    part.arguments,
                    # Nothing may be taken for another part's result, nor computed twice for being needed
                    # twice.
                    pure=False,
                    retries=ATTEMPTS - 1,
                )
            )
        place_of = {future.key: place for place, future in enumerate(futures)}
        uses = Counter(place for part in parts for place in part.needs)
        ended = distributed.as_completed(list(futures), loop=client.loop)
        for done, future in enumerate(ended, start=1):
            place = place_of[future.key]
            if future.status != "finished":
                why = future.exception() if future.status == "error" else LOST
                raise DecisionError(f"{self._address}: {parts[place].name}: {why}")
            progress(done, len(parts), parts[place].name, time.monotonic() - begun)
            # Action tables may be large; workers keep them as long as they are needed.
            uses.subtract(parts[place].needs)
            for other in {*parts[place].needs, place}:
                if not uses[other] and other not in wanted:
                    futures[other].release()
        results = client.gather([futures[place] for place in wanted])
        return dict(zip(wanted, results, strict=True))


@contextmanager
def _shipped() -> Iterator[tuple[Path, ModuleType]]:
    """The code as a file to send, and the module in it, which workers find under the same name."""
    name, content = code()
    with tempfile.TemporaryDirectory(prefix="mec-parts-") as directory:
        archive = Path(directory) / f"{name}.zip"
        archive.write_bytes(content)
        sys.path.insert(0, str(archive))
        try:
            yield archive, importlib.import_module(f"{name}.evaluation.parts")
        finally:
            sys.path.remove(str(archive))
            for module in [one for one in sys.modules if one.split(".")[0] == name]:
                del sys.modules[module]

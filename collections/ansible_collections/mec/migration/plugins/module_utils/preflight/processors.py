# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what runs on the source's processor can go on on the target's."""

from __future__ import annotations

from collections.abc import Iterator

from .pair import Facts, Pair

# Processor features that a program can use directly, as in /proc/cpuinfo; CRIU's own list
# (criu/arch/x86/cpu.c, x86_ins_capability_mask) and what came after it. Others concern the kernel.
_X86_FEATURES = """
fpu tsc cx8 sep cmov clflush mmx fxsr sse sse2 syscall mmxext rdtscp 3dnowext 3dnow pni pclmulqdq ssse3 cx16
sse4_1 sse4_2 movbe popcnt aes xsave avx f16c rdrand abm sse4a misalignsse 3dnowprefetch xop fma4 tbm fma
lahf_lm fsgsbase bmi1 hle avx2 bmi2 erms rtm mpx avx512f avx512dq rdseed adx clflushopt clwb avx512pf avx512er
avx512cd sha_ni avx512bw avx512vl avx512ifma xsaveopt xsavec xgetbv1 xsaves avx512vbmi avx512_vbmi2 gfni vaes
vpclmulqdq avx512_vnni avx512_bitalg avx512_vpopcntdq rdpid clzero avx512_4vnniw avx512_4fmaps avx_vnni
avx512_bf16 avx512_fp16 fsrm ospke movdiri movdir64b serialize waitpkg amx_tile amx_int8 amx_bf16 user_shstk
"""
X86_FEATURES = frozenset(_X86_FEATURES.split())
# On arm64 a feature is there for programs (Documentation/arch/arm64/elf_hwcaps.rst), so each one counts.
# CRIU 4.2 asks the kernel there for registers of NT_PRSTATUS and NT_PRFPREG alone (compel/arch/aarch64/src/
# lib/infect.c): not for the vectors and predicates of SVE, nor for what SME adds to them.
NOT_CARRIED_ON_ARM = ("sve", "sme")


def architecture_problems(pair: Pair) -> Iterator[str]:
    source, target = pair.source, pair.target
    ours, theirs = source["architecture"], target["architecture"]
    if ours != theirs:
        yield (
            f"{target['hostname']} is {theirs}, {source['hostname']} is {ours}; memory cannot "
            "move between architectures. Choose a target of the same one"
        )
    elif source["page_bytes"] != target["page_bytes"]:
        yield (
            f"a page of memory has {target['page_bytes']} bytes on {target['hostname']} and "
            f"{source['page_bytes']} on {source['hostname']}; what is mapped fits one of them only. "
            "Boot both with kernels of the same page size (on a Raspberry Pi 5 `kernel=kernel8.img` in "
            "config.txt takes that of 4096), or choose another target"
        )


def missing_features(source: Facts, target: Facts) -> list[str]:
    """Processor features that programs may be using on the source and that the target lacks."""
    missing = set(source["cpu"]["features"]) - set(target["cpu"]["features"])
    if source["architecture"] == "x86_64":
        missing &= X86_FEATURES
    return sorted(missing)


def processor_problems(pair: Pair) -> Iterator[str]:
    source, target = pair.source, pair.target
    if source["architecture"] != target["architecture"]:
        return
    missing = missing_features(source, target)
    if missing:
        shown = ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" if len(missing) > 6 else "")
        yield (
            f"the processor of {target['hostname']} ({target['cpu']['model']}) lacks {shown}, "
            f"which programs started on {source['hostname']} ({source['cpu']['model']}) may be "
            "using. Choose another target, or `ignore: [processor]` if the service uses none of it"
        )
    if source["architecture"] == "aarch64":
        lost = [name for name in NOT_CARRIED_ON_ARM if name in source["cpu"]["features"]]
        if lost:
            options = " ".join(f"arm64.no{name}" for name in lost)
            yield (
                f"the processor of {source['hostname']} ({source['cpu']['model']}) has {' and '.join(lost)}, "
                "whose registers CRIU does not carry: a thread that is frozen while it uses them would go on "
                f"with wrong ones. Boot {source['hostname']} with `{options}`, or `ignore: [processor]` if "
                "the service and its libraries use none of it"
            )

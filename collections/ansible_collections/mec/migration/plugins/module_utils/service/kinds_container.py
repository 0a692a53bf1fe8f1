# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of things that nothing must be looked for: what moves, and what is judged by the specification."""

from __future__ import annotations

from ..base.clocks import TELLING_S
from .kinds import KEPT, REFUSED, SAID, UNSEEN, Kind

UNIT = "tests/unit/plugins/module_utils/"
PREFLIGHT = UNIT + "test_preflight.py::"
SPECIFICATION = UNIT + "test_container_spec.py::"
NETWORKS = UNIT + "test_container_networks.py::"
STORAGE = UNIT + "test_storage.py::"
HELD = "tests/e2e/test_kinds.py::test_what_a_service_holds_is_there_after_the_move"


def _kept(name: str, title: str, test: str = HELD) -> Kind:
    return Kind(name, title, KEPT, "", "", "", test)


def _judged(outcome: str, name: str, title: str, remedy: str, test: str) -> Kind:
    return Kind(name, title, outcome, "the container's specification, on both hosts", "", remedy, test)


KINDS = (
    _kept("timers", "POSIX timers, itimers, timerfd, signalfd, pending signals"),
    _kept("descriptors", "eventfd, epoll, pidfd, pipes and FIFOs with data, terminals of its own (pty)"),
    _kept(
        "terminal-data",
        "What was written to a terminal of its own (pty) and not read yet, but for a line without its end in "
        "line mode",
    ),
    _kept(
        "files",
        "Open, mapped, growing, deleted (up to 1 GiB) and unnamed (O_TMPFILE) files; memfd, sealed too; a "
        "program whose file was deleted",
    ),
    _kept("locks", "File locks: flock, fcntl, open file description locks; leases"),
    _kept(
        "unix-pairs",
        "UNIX sockets (stream, datagram, SEQPACKET), with data and descriptors on the way",
    ),
    _kept("sockets", "Listening TCP and UDP sockets, IPv6, SO_REUSEPORT, raw and ping sockets"),
    _kept("system-v", "System V shared memory, semaphores and message queues"),
    _kept(
        "memory",
        "Locked memory, MADV_WIPEONFORK, shared anonymous memory, seccomp filters, no-new-privileges",
    ),
    _kept(
        "cow",
        "Memory that a parent and its children share until one of them writes (prefork servers)",
        UNIT + "test_copy_on_write.py::test_images_refer_to_the_parents_pages",
    ),
    _kept(
        "stopped",
        "Stopped processes (SIGSTOP, job control)",
        UNIT + "test_stopped.py::test_a_stopped_process_stays_stopped_and_can_be_seized",
    ),
    _kept(
        "cgroup-view",
        "What the container sees below /sys/fs/cgroup: its own limits",
        UNIT + "test_cgroup_view.py::test_a_directory_of_the_host_takes_the_place_of_a_mount",
    ),
    _kept(
        "replaced-mount",
        "A bind mount of a file or directory that was replaced on the host since: the container gets the one "
        "that the target has",
        UNIT + "test_criu_edits.py::"
        "test_what_was_mounted_and_is_deleted_is_mounted_anew_by_the_container_engine_alone",
    ),
    _kept(
        "mount-through-link",
        "Mounts whose destination leads through a symbolic link, `docker run --init`",
        UNIT + "test_dump.py::test_mounts_are_named_as_the_kernel_has_them",
    ),
    _kept(
        "tmpfs", "tmpfs mounts, with their content", UNIT + "test_tmpfs_mounts.py::test_the_copy_is_the_same"
    ),
    _kept(
        "logs",
        "`docker logs` from before the move (json-file and local): the newest 16 MiB, or `migrate_log_mib`",
        "tests/e2e/test_kinds.py::test_docker_logs_go_on",
    ),
    _kept(
        "limits",
        "Limits, ulimits, capabilities, labels, environment, log options, health check, restart policy",
        SPECIFICATION + "test_limits_labels_ports_and_logging_are_kept",
    ),
    _kept(
        "volumes",
        "Named and anonymous volumes: content, driver options, labels",
        PREFLIGHT + "test_a_volume_with_other_driver_options_is_refused_with_the_command_that_makes_it",
    ),
    _kept(
        "borrowed-volumes",
        "Volumes and bind mounts by `--volumes-from`: the target's container names them itself",
        SPECIFICATION + "test_what_came_from_another_container_is_named",
    ),
    _kept(
        "shared-storage",
        "Volumes on storage that both hosts share (NFS, CIFS, Ceph ...): the content is left alone",
        STORAGE + "test_what_both_hosts_share_is_neither_written_nor_emptied",
    ),
    _kept(
        "interfaces",
        "Several networks: which is eth0, eth1 ...; MAC addresses that were asked for",
        NETWORKS + "test_names_come_from_the_addresses_of_the_interfaces",
    ),
    _kept(
        "privileged",
        "`--privileged`, if none of the host's devices is open",
        "tests/e2e/test_kinds.py::test_a_privileged_container_moves",
    ),
    _judged(
        REFUSED,
        "size-limit",
        "A limit of the size of the writable layer (`--storage-opt size`), where the target's disk has none",
        "Keep Docker's directory there on XFS with project quotas, or start the container without",
        PREFLIGHT + "test_a_limit_of_the_writable_layer_needs_xfs",
    ),
    _judged(
        REFUSED,
        "terminal",
        "A container with a terminal (`-t`)",
        "Start it without `-t`",
        SPECIFICATION + "test_refused",
    ),
    _judged(
        REFUSED,
        "host-namespaces",
        "Namespaces of the host or of another container (`--pid`, `--ipc`, `--uts` host; `container:`)",
        "Give it its own",
        SPECIFICATION + "test_a_namespace_of_the_host_is_refused",
    ),
    _judged(
        REFUSED,
        "managed",
        "A container that something else keeps, and starts anew where it is gone: Docker Swarm, Kubernetes, "
        "Nomad, Amazon ECS, Azure IoT Edge, balena, Home Assistant's supervisor (by its label)",
        "Have that move it, or run it with Docker alone",
        SPECIFICATION + "test_what_something_else_starts_anew_is_refused",
    ),
    _judged(
        REFUSED,
        "remapped-users",
        "A container in a user namespace, a rootless daemon",
        "Use a daemon that runs as root without a user namespace",
        SPECIFICATION + "test_a_user_namespace_is_refused",
    ),
    _judged(
        REFUSED,
        "device-option",
        "Devices of the host (`--device`, GPUs)",
        "Start it without them, or `ignore: [devices]` if it has none of them open",
        PREFLIGHT + "test_devices_are_named_and_can_be_ignored",
    ),
    _judged(
        REFUSED,
        "security-profile",
        "An AppArmor profile or SELinux label, where the target has no such module",
        "Enable it there, or start the container without",
        PREFLIGHT + "test_a_security_profile_needs_its_module_on_the_target",
    ),
    _judged(
        REFUSED,
        "log-driver",
        "A log driver that the target does not have",
        "Install that plugin",
        PREFLIGHT + "test_what_the_target_lacks",
    ),
    _judged(
        REFUSED,
        "volume-subpath",
        "A part of a volume (`volume-subpath`), unless both hosts share its storage",
        "Mount the whole volume, or use one of its own",
        PREFLIGHT + "test_a_part_of_a_volume_is_refused_unless_its_storage_is_shared",
    ),
    _judged(
        REFUSED,
        "shareable",
        "Something in /dev/shm of a container with `--ipc shareable` (`private`, the default: kept; "
        "if it is empty: said)",
        "Start it with `--ipc private`, or let the service put nothing there",
        PREFLIGHT + "test_a_dev_shm_that_others_may_share_does_not_move",
    ),
    _judged(
        REFUSED,
        "staying-files",
        "An open or mapped file, or a working directory, on a bind mount that does not move, which the "
        "target does not have with the same permissions and size (of logs, written at their end: any size)",
        "Have the same there, or name the mount in `move_binds`",
        PREFLIGHT + "test_files_that_stay_must_be_the_same_on_the_target",
    ),
    _judged(
        REFUSED,
        "links",
        "A link (`--link`) to a container that does not run on the target",
        "Have that container run there first, or put both on a network of your own",
        PREFLIGHT + "test_a_link_needs_its_other_end_there",
    ),
    _judged(
        REFUSED,
        "networks",
        "A network that is missing there, or has another driver, is isolated on one host only, lacks IPv6",
        "The message has the command that makes the same network",
        PREFLIGHT + "test_a_network_that_differs_in_what_matters_is_refused",
    ),
    _judged(
        SAID,
        "addresses",
        "A network with another subnet or MTU: the service gets another address",
        "The same subnet on both hosts, if addresses matter",
        PREFLIGHT + "test_other_subnets_and_mtus_are_said",
    ),
    _judged(
        REFUSED,
        "own-address",
        "A socket that is bound to the container's own address, with Docker 28 or later on the target",
        "Bind to every address (0.0.0.0, ::)",
        PREFLIGHT + "test_a_port_at_its_own_address_is_refused_or_said",
    ),
    _judged(
        SAID,
        "own-address-said",
        "A socket that is bound to the container's own address, with an earlier Docker on the target, unless "
        "the address is a fixed one (`--ip`; then kept): if it gets another one the restore fails and it "
        "runs on here",
        "Bind to every address (0.0.0.0, ::), or give the container a fixed one",
        PREFLIGHT + "test_a_port_at_its_own_address_is_refused_or_said",
    ),
    _judged(
        SAID,
        "late-peers",
        "Connected UDP sockets, with Docker 28 or later on the target: until Docker gives the container its "
        "network, some milliseconds after the restore, they have no peer, and what is sent gets an error",
        "Let the service try again after such an error",
        PREFLIGHT + "test_udp_sockets_that_get_their_peer_late_are_said",
    ),
    Kind(
        "own-network",
        "What a service with NET_ADMIN has added to its network: addresses, routes, interfaces, firewall, "
        "settings of /proc/sys/net (not those of single interfaces)",
        SAID,
        "what is in /proc/PID/net beside what Docker gave (of IPv6 the addresses; rules of nftables are not "
        "seen); settings beside those of a new network",
        "on the target it has what Docker gives it",
        "Let the service set it up again there, or a hook of the migration",
        PREFLIGHT + "test_what_the_service_added_to_its_network_is_said",
    ),
    _judged(
        SAID,
        "volume-users",
        "A volume that another container of the source uses, too",
        "Move both, or put it on storage that both hosts share",
        PREFLIGHT + "test_a_volume_that_another_container_uses_here_is_said",
    ),
    _judged(
        SAID,
        "binds",
        "Bind mounts that are not named in `move_binds`: what the target has there is used",
        "Name them in `move_binds` if their content is to move",
        PREFLIGHT + "test_bind_mounts_that_stay_must_be_on_the_target",
    ),
    Kind(
        "dockers-files",
        "Changes of /etc/hosts, /etc/hostname and /etc/resolv.conf, by the service or with `docker exec`",
        SAID,
        "lines of /etc/hosts that Docker does not write for this container, another name in /etc/hostname, "
        "and the digest that Docker has of /etc/resolv.conf (with its own resolver, 127.0.0.11: another one)",
        "Docker makes these files anew",
        "Use `--add-host`, `--hostname` or `--dns`, which move, or a hook of the migration (`on_handover`)",
        UNIT + "test_written_files.py::test_what_was_changed_is_named",
    ),
    Kind(
        "interface-mtu",
        "The MTU of an interface that the service has changed",
        UNSEEN,
        "",
        "Docker makes the interfaces anew",
        "Use the network's MTU, which moves",
        "",
    ),
    Kind(
        "health",
        "The state of the health check",
        UNSEEN,
        "",
        "the check and its settings move; its state begins with `starting` on the target, its log is empty",
        "Wait for the first check there, as the move does (`migrate_health_timeout_s`)",
        "",
    ),
    Kind(
        "clock",
        f"Clocks of the hosts that differ by more than {TELLING_S} s",
        SAID,
        "the target tells its clock when the source connects; known to half the round trip, by which the "
        "limit is larger",
        "the time of day jumps by the difference; monotonic clocks and timers go on",
        "Keep the hosts' clocks in step (chrony, NTP)",
        PREFLIGHT + "test_clocks_that_differ_are_said",
    ),
    Kind(
        "processor-features",
        "Processors that differ",
        REFUSED,
        "features of /proc/cpuinfo that the target's processor lacks",
        "",
        "Choose another target, or `ignore: [processor]` if the service uses none of them",
        PREFLIGHT + "test_a_lesser_processor_is_refused_with_what_it_lacks_and_can_be_overridden",
    ),
    Kind(
        "vector-registers",
        "The registers of SVE and SME, on arm64 (NEON and pointer authentication: kept)",
        REFUSED,
        "`sve` and `sme` among the source's features in /proc/cpuinfo",
        "CRIU does not carry them, and whether a thread uses them at that moment is not known",
        "Boot the source with `arm64.nosve arm64.nosme`, or `ignore: [processor]` if neither the service nor "
        "its libraries use them",
        PREFLIGHT + "test_on_arm_registers_that_criu_does_not_carry_are_named",
    ),
    Kind(
        "page-size",
        "Pages of another size (arm64: 4, 16 or 64 KiB)",
        REFUSED,
        "sysconf(3) on both hosts",
        "what is mapped fits one size only",
        "Boot both with kernels of the same",
        PREFLIGHT + "test_pages_of_another_size_are_refused",
    ),
)

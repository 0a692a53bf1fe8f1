/* The two hosts of a migration, as far as it matters who may run. See README.md.
 *
 * What a reboot keeps: containers, their restart policies, journals. What it takes: processes.
 * A run of the checker sets FAULTS, the number of faults that may happen in it, and which kinds.
 */

/* Processes of the service on a host. */
#define NONE 0
#define RUN 1
#define FROZEN 2

/* Why the source's copy comes to run. */
#define BY_PROTOCOL 0
#define BY_WORD 1

/* The source: container, its restart policy, its processes. */
bit source_container = 1;
bit source_policy = 1;
byte source = RUN;

/* The target: whose container has the name (number of the migration + 1), and so on. */
byte target_container = 0;
bit target_policy = 0;
byte target = NONE;
/* The runtime has been told to restore, and has not come to its end. */
bit restoring = 0;
/* The target's copy needs nothing more: its memory is filled, or it was started from its files. */
bit complete = 0;

/* For the checks only: the copy on the target has served clients, so the source's is an older state. */
bit target_served = 0;
bit mark_sent[MIGRATIONS];

/* Faults that have happened. */
byte faults = 0;
#define MAY_FAIL (faults < FAULTS)

/* Property 1: never two copies that run. */
inline at_most_one() {
	assert(!(source == RUN && target == RUN))
}

/* The source's copy comes to run. Property 3: after the mark was sent, only if the target has durably destroyed
 * its copy. Property 4: what the target may have acknowledged is undone only by the operator's word. */
inline source_runs(why, proved) {
	source = RUN;
#ifdef CHECK_PROOF
	assert(proved);
#endif
#ifdef CHECK_UNDONE
	assert(!target_served || why == BY_WORD);
#endif
#ifdef CHECK_COPIES
	at_most_one()
#endif
}

inline target_runs() {
	target = RUN;
	target_served = 1;
#ifdef CHECK_COPIES
	at_most_one()
#endif
}

/* The source's processes are ended for good. Property 2: only if the target's copy is complete. */
inline source_is_ended(proved) {
	source = NONE;
#ifdef CHECK_FILLED
	assert(proved);
#endif
}

/* Docker starts again what has a policy: at boot, or when its daemon comes back. */
inline source_docker_starts() {
	if
	:: source_container && source_policy -> source_runs(BY_PROTOCOL, !ANY_MARKED || ANY_DESTROYED)
	:: else -> source = NONE
	fi
}

inline target_docker_starts() {
	restoring = 0;
	if
	:: target_container && target_policy -> target_runs()
	:: else -> target = NONE
	fi
}

/* The protocol as it was before it had durable states of its own: the negative control. Each of its known faults
 * must be found when what brings it about can happen (CAN_...). What no counterexample needs is left out. */

#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef MIGRATIONS
#define MIGRATIONS 1
#endif

#define MISSING 0
#define S_PREPARED 1
#define S_FROZEN 2
#define S_IMAGES_SENT 3

#define T_LISTENING 1
#define T_ARMED 2
#define T_RESTORING 3
#define T_RUNNING 4
#define T_DESTROYED 5

byte sj[MIGRATIONS];
byte tj[MIGRATIONS];

#define ANY_MARKED mark_sent[0]
#define ANY_DESTROYED (tj[0] == T_DESTROYED)
#define NUMBER(m) (m + 1)

#include "world.pml"

bit receiver[MIGRATIONS];
bit kill_guard = 0;
bit restored = 0;
bit mark[MIGRATIONS];
#define RUNNING_ANSWER 1
#define ERROR_ANSWER 2
byte answer[MIGRATIONS];
bit hand_over[MIGRATIONS];
#define HANDED_OVER 1
#define FAILED 2
#define IN_DOUBT 3
byte result[MIGRATIONS];
bit controller_done[MIGRATIONS];

/* state=rolled_back: thaws whatever has the service's name, and forgets this migration. */
inline roll_back() {
	atomic {
		if
		:: source == FROZEN -> source_runs(BY_PROTOCOL, !mark_sent[m] || tj[m] == T_DESTROYED)
		:: else
		fi;
		source_policy = 1;
		sj[m] = MISSING
	}
}

inline end_copy() {
	if
	:: target_container == NUMBER(m) -> target = NONE; restoring = 0; complete = 0; target_container = 0
	:: else
	fi
}

proctype HandOver(byte m) {
	hand_over[m];
	sj[m] = S_FROZEN;
	source_policy = 0;
	/* To freeze what is frozen succeeds. */
	atomic {
		if
		:: source != NONE -> source = FROZEN
		:: else -> result[m] = FAILED; goto end
		fi
	};
	atomic { mark[m] = 1; mark_sent[m] = 1 };
	do
	:: answer[m] == RUNNING_ANSWER -> break
	:: answer[m] == ERROR_ANSWER -> goto thaw
	/* The answer is lost: the receiver is asked. */
	:: atomic { receiver[m] && tj[m] == T_ARMED -> end_copy(); tj[m] = T_DESTROYED; receiver[m] = 0; goto thaw }
	:: receiver[m] && tj[m] == T_DESTROYED -> goto thaw
	:: receiver[m] && tj[m] == T_RUNNING -> break
	:: atomic { result[m] = IN_DOUBT; goto end }
	od;
	/* Any exception but one of ours thaws: here that of a journal write to a full disk. */
	if
	:: atomic { sj[m] = S_IMAGES_SENT; result[m] = HANDED_OVER; goto end }
#ifdef CAN_FILL_DISK
	:: atomic { MAY_FAIL -> faults++ }
#endif
	fi;
thaw:
	roll_back();
	result[m] = FAILED;
end:
	skip
}

proctype Receiver(byte m) {
	{
		atomic { mark[m] && tj[m] == T_ARMED -> mark[m] = 0; tj[m] = T_RESTORING; restoring = 1; kill_guard = 1 };
		if
		:: restored
#ifdef CAN_KILL_RUNTIME
		/* The runtime is killed before runc has noted its container: nothing is found that could be ended. */
		:: atomic { MAY_FAIL && restoring -> faults++; tj[m] = T_DESTROYED; answer[m] = ERROR_ANSWER; goto over }
#endif
		fi;
		if
		:: atomic { answer[m] = RUNNING_ANSWER; tj[m] = T_RUNNING }
#ifdef CAN_LOSE_STATISTICS
		/* Reading CRIU's statistics fails, which counts as a failed restore. */
		:: atomic { MAY_FAIL -> faults++; tj[m] = T_DESTROYED; answer[m] = ERROR_ANSWER; goto over }
#endif
		fi;
		atomic { target == RUN -> complete = 1 };
		tj[m] == MISSING;
over:
		receiver[m] = 0
	} unless { !receiver[m] }
}

active proctype Runtime() {
	do
	:: atomic { restoring -> restoring = 0; restored = 1; target_runs() }
	od
}

active proctype KillGuard() {
	do
	:: atomic { kill_guard && !receiver[0] && target == RUN && !complete && tj[0] >= T_RESTORING && tj[0] != T_DESTROYED
			-> target = NONE; kill_guard = 0 }
	od
}

/* criu_restore state=restored. *ok*: it was committed. */
inline finish() {
	if
	:: receiver[m] && tj[m] == T_RUNNING ->
		if
		:: complete -> ok = 1
		:: !receiver[m]
		:: target != RUN
		fi
	:: else
	fi;
	atomic {
		if
		:: !ok && !receiver[m] && (tj[m] == T_RUNNING || tj[m] == T_RESTORING) && target == RUN -> ok = 1
		:: else
		fi;
		if
		:: ok -> target_policy = 1; tj[m] = MISSING
		:: else
		fi
	}
}

inline commit() {
	atomic {
		if
		:: source != RUN -> source_is_ended(complete); source_container = 0; sj[m] = MISSING
		:: else
		fi
	}
}

proctype Controller(byte m) {
	bit ok; bit runs_here;
	if
	:: source == RUN
	:: source != RUN -> goto done
	fi;
	atomic { tj[m] = T_LISTENING; receiver[m] = 1; run Receiver(m); run HandOver(m) };
	atomic {
		if
		:: target_container == 0 -> target_container = NUMBER(m); tj[m] = T_ARMED
		:: else -> goto undo
		fi
	};
	/* begin_source() deletes the journals of other migrations of the service. */
	atomic {
#if MIGRATIONS > 1
		sj[1 - m] = MISSING;
#endif
		sj[m] = S_PREPARED
	};
	hand_over[m] = 1;
	result[m];
	if
	:: result[m] == HANDED_OVER ->
		finish();
		if
		:: ok -> commit(); goto done
		:: else
		fi
	:: else
	fi;
undo:
	runs_here = (source == RUN);
	if
	:: runs_here ->
		atomic {
			if
			:: tj[m] && !(target_container == NUMBER(m) && target == RUN) -> end_copy(); tj[m] = MISSING; receiver[m] = 0
			:: else
			fi
		};
		roll_back()
	:: else
	fi;
done:
	controller_done[m] = 1
}

/* playbooks/resolve.yml: it asked the hosts that --limit left, and went by the container's name. */
inline resolve(sees_source, sees_target, namesake) {
	if
	:: sees_target && tj[m] ->
		if
		:: target == RUN -> ok = 0; finish()
		:: atomic { target != RUN -> end_copy(); tj[m] = MISSING; receiver[m] = 0 }
		fi
	:: else
	fi;
	runs_elsewhere = (sees_target && target == RUN) || namesake;
	if
	:: sees_source && sj[m] && source == FROZEN ->
		if
		:: runs_elsewhere -> commit()
		:: else -> roll_back()
		fi
	:: else
	fi
}

proctype Resolver(byte m) {
	bit ok; bit runs_elsewhere;
	controller_done[m];
	if
	:: true -> resolve(1, 1, 0)
#ifdef CAN_LIMIT
	:: true -> resolve(1, 0, 0)
#endif
#ifdef CAN_HAVE_NAMESAKES
	:: true -> resolve(1, 1, 1)
#endif
	:: skip
	fi
}

active proctype Nemesis() {
	do
#ifdef CAN_REBOOT_SOURCE
	:: atomic { MAY_FAIL && mark_sent[0] -> faults++; source_docker_starts() }
#endif
#ifdef CAN_REBOOT_TARGET
	:: atomic { MAY_FAIL && target == RUN -> faults++; receiver[0] = 0; kill_guard = 0; target_docker_starts() }
#endif
#ifdef CAN_KILL_BOTH
	:: atomic { MAY_FAIL && kill_guard && target == RUN -> faults++; receiver[0] = 0; kill_guard = 0 }
#endif
	:: break
	od
}

active proctype Closer() {
	bit ok; bit runs_elsewhere; byte m;
	timeout;
	m = 0;
	resolve(1, 1, 0);
#ifdef CHECK_END
	assert((source == RUN) + (target == RUN) == 1)
#endif
}

init {
	atomic {
		run Controller(0);
#if MIGRATIONS > 1
		run Controller(1);
#endif
		run Resolver(0)
	}
}

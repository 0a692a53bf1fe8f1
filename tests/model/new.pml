/* The protocol of docs/protocol.md: source agent, thaw guard, target agent, runtime, controllers, resolvers. */

#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef MIGRATIONS
#define MIGRATIONS 1
#endif

#define S_MISSING 0
#define S_OPEN 1
#define S_FROZEN 2
#define S_MARK_SENT 3
#define S_HANDED_OVER 4
#define S_COMMITTED 5
#define S_ROLLED_BACK 6

#define T_MISSING 0
#define T_OPEN 1
#define T_ARMED 2
#define T_RESTORING 3
#define T_RUNNING 4
#define T_FILLED 5
#define T_KEPT 6
#define T_DESTROYED 7

#if MIGRATIONS > 1
#define ANY_MARKED (mark_sent[0] || mark_sent[1])
#define ANY_DESTROYED (tj[0] == T_DESTROYED || tj[1] == T_DESTROYED)
#define OTHER (1 - m)
#else
#define ANY_MARKED mark_sent[0]
#define ANY_DESTROYED (tj[0] == T_DESTROYED)
#endif

#ifndef RESOLVERS
#define RESOLVERS 1
#endif

/* Journals, durable. */
byte sj[MIGRATIONS];
byte tj[MIGRATIONS];

#include "world.pml"

/* Decisions of plugin_utils/resolve/decision.py for all combinations, written by run.py. */
c_decl {
\#include "table.h"
}

/* Who holds the lock of the service on a host, which goes with the process: 0 nobody, else AGENT(m), or one of
 * the modules that a controller or a resolver runs there. */
#define AGENT(m) (m + 1)
byte source_lock = 0;
byte target_lock = 0;
bit thaw_guard = 0;
bit restored = 0;
bit kill_guard = 0;

/* Messages. The mark can arrive late: it stays here when the source has long given it up. */
bit mark[MIGRATIONS];
#define RUNNING_ANSWER 1
#define DESTROYED_ANSWER 2
byte answer[MIGRATIONS];

/* From the controller to the source agent, and back. */
bit hand_over[MIGRATIONS];
#define HANDED_OVER 1
#define GAVE_UP 2
byte result[MIGRATIONS];
bit controller_dead[MIGRATIONS];

bit host_gone = 0;

/* A journal write may fail, and yet be on the disk. */
inline source_journal(state) {
	if
	:: sj[m] = state; ok = 1
	:: MAY_FAIL -> faults++; sj[m] = state; ok = 0
	:: MAY_FAIL -> faults++; ok = 0
	fi
}

inline target_journal(state) {
	if
	:: tj[m] = state; ok = 1
	:: MAY_FAIL -> faults++; tj[m] = state; ok = 0
	:: MAY_FAIL -> faults++; ok = 0
	fi
}

inline docker_call() {
	if
	:: ok = 1
	:: MAY_FAIL -> faults++; ok = 0
	fi
}

/* The source's copy is thawed, then its policy is given back. If it has ended meanwhile, with its host or with
 * Docker's daemon, it is started; from then on its policy does that. Then the journal is settled. */
inline release(holder, why) {
	atomic {
		if
		:: source_lock != holder || sj[m] == S_COMMITTED || sj[m] == S_ROLLED_BACK -> ok = 0
		:: else ->
			if
			:: source == FROZEN -> source_runs(why, !mark_sent[m] || tj[m] == T_DESTROYED || host_gone)
			:: else
			fi;
			ok = 1
		fi
	}
	if
	:: ok -> atomic {
			docker_call();
			if
			:: source_lock == holder && ok -> source_policy = 1
			:: else -> ok = 0
			fi
		}
	:: else
	fi;
	if
	:: ok -> atomic {
			if
			:: source_lock == holder && source == NONE && source_container && sj[m] != S_OPEN ->
				docker_call();
				if
				:: ok -> source_runs(why, !mark_sent[m] || tj[m] == T_DESTROYED || host_gone)
				:: else
				fi
			:: else -> ok = (source_lock == holder)
			fi
		}
	:: else
	fi;
	if
	:: ok -> atomic {
			if
			:: source_lock == holder -> source_journal(S_ROLLED_BACK)
			:: else
			fi
		}
	:: else
	fi
}

/* The target's copy is ended, its cgroup is seen empty, its container is removed, and only then it is noted. It goes
 * by the container's id: one of another migration that has the same name is left alone.
 * The target's lock is held by whoever calls it, so nothing happens there meanwhile. */
inline destroy() {
	if
	:: target_container == AGENT(m) ->
		target = NONE;
		restoring = 0;
		complete = 0;
		docker_call();
		if
		:: ok -> target_container = 0
		:: else
		fi
	:: else -> ok = 1
	fi;
	if
	:: ok -> target_journal(T_DESTROYED)
	:: else
	fi
}

proctype SourceAgent(byte m) {
	bit ok;
	{
		if
		:: atomic { hand_over[m] -> hand_over[m] = 0 }
		:: controller_dead[m] -> goto back
		fi;
		thaw_guard = 1;
		atomic { source_journal(S_FROZEN); if :: !ok -> goto back :: else fi };
		atomic { docker_call(); if :: ok -> source_policy = 0 :: else -> goto back fi };
		atomic { if :: source == RUN -> source = FROZEN :: else -> goto back fi };
		/* Written before the mark is sent, while the last data is dumped. */
		atomic { source_journal(S_MARK_SENT); if :: !ok -> goto back :: else fi };
		/* The dump, or what is sent, fails. */
		if
		:: skip
		:: atomic { MAY_FAIL -> faults++; goto back }
		fi;
		thaw_guard = 0;
		atomic { mark[m] = 1; mark_sent[m] = 1 };
		do
		:: atomic { answer[m] == RUNNING_ANSWER -> goto handed_over }
		:: atomic { answer[m] == DESTROYED_ANSWER -> goto back }
		/* The answer is late, or lost. The target is asked over a new connection. */
		:: atomic { target_lock == AGENT(m) && tj[m] == T_ARMED -> destroy(); if :: ok -> goto back :: else fi }
		:: atomic { target_lock == AGENT(m) && tj[m] == T_DESTROYED -> goto back }
		:: atomic { target_lock == AGENT(m) && (tj[m] == T_RUNNING || tj[m] == T_FILLED) -> goto handed_over }
		/* It does not answer in time: in doubt. The copy here stays frozen. */
		:: atomic { result[m] = GAVE_UP; source_lock = 0; goto end }
		od;
handed_over:
		atomic { source_journal(S_HANDED_OVER); result[m] = HANDED_OVER; source_lock = 0; goto end };
back:
		release(AGENT(m), BY_PROTOCOL);
		atomic { result[m] = GAVE_UP; thaw_guard = 0; source_lock = 0 }
	} unless { source_lock != AGENT(m) };
end:
	skip
}

/* Thaws if the agent ends before the mark. The agent releases it before it sends the mark. */
proctype ThawGuard(byte m) {
	bit ok;
	{
		atomic { thaw_guard && source_lock == 0 -> source_lock = AGENT(m) + 10 };
		release(AGENT(m) + 10, BY_PROTOCOL);
		atomic { thaw_guard = 0; if :: source_lock == AGENT(m) + 10 -> source_lock = 0 :: else fi }
	} unless { result[m] }
}

proctype TargetAgent(byte m) {
	bit ok;
	{
		do
		:: atomic { mark[m] && tj[m] == T_ARMED && target_container == AGENT(m) ->
				mark[m] = 0;
				target_journal(T_RESTORING);
				if
				:: ok -> restoring = 1; kill_guard = 1; break
				:: else -> destroy(); if :: ok -> answer[m] = DESTROYED_ANSWER :: else fi; goto over
				fi
			}
		/* Nobody has spoken to it for long, or its controller gives up. */
		:: atomic { tj[m] < T_RESTORING && controller_dead[m] -> destroy(); goto over }
		od;
		if
		/* The runtime's word that it has restored outlives the copy. */
		:: atomic { restored }
		/* The restore failed, or its runtime was killed: what that has begun may still go on. */
		:: atomic { MAY_FAIL && !restored ->
				faults++; destroy(); if :: ok -> answer[m] = DESTROYED_ANSWER :: else fi; goto over }
		:: atomic { !restoring && !restored ->
				destroy(); if :: ok -> answer[m] = DESTROYED_ANSWER :: else fi; goto over }
		fi;
		do
		:: atomic { target_journal(T_RUNNING); if :: ok -> break :: else fi }
		od;
		answer[m] = RUNNING_ANSWER;
		if
		:: atomic { target == RUN -> complete = 1 }
		/* Its processes have ended meanwhile, with Docker's daemon or by themselves. */
		:: atomic { target != RUN -> goto over }
		fi;
		do
		:: atomic { target == RUN -> target_journal(T_FILLED); if :: ok -> break :: else fi }
		:: atomic { target != RUN -> break }
		od;
		/* It stays until it is told that the migration is settled, or until it is killed. */
		tj[m] == T_KEPT || tj[m] == T_DESTROYED || controller_dead[m];
over:
		atomic { target_lock = 0 }
	} unless { target_lock != AGENT(m) }
}

/* The runtime restores, whether or not somebody still waits for it. */
active proctype Runtime() {
	do
	:: atomic { restoring -> restoring = 0; restored = 1; target_runs() }
	od
}

/* Holds the pages' descriptors, and ends a copy whose memory will never be complete. */
active proctype KillGuard() {
	do
	:: atomic { kill_guard && target_lock == 0 && target == RUN && !complete -> target = NONE; kill_guard = 0 }
	od
}

/* Keep the complete copy on the target: it gets its policy, then it is started if it has ended meanwhile, and only
 * then it is noted that it is kept. *ok* tells whether all this was done. */
inline keep() {
	atomic {
		if
		:: tj[m] == T_FILLED && target_container == AGENT(m) && (target_lock == 0 || target_lock == AGENT(m)) ->
			docker_call();
			if
			:: ok -> target_policy = 1
			:: else
			fi
		:: else -> ok = 0
		fi
	}
	if
	:: ok -> atomic {
			if
			:: tj[m] == T_FILLED && target == NONE ->
				docker_call();
				if
				:: ok -> complete = 1; target_runs()
				:: else
				fi
			:: else
			fi;
			if
			:: ok && tj[m] == T_FILLED -> target_journal(T_KEPT)
			:: else
			fi
		}
	:: else -> ok = (tj[m] == T_KEPT)
	fi
}

inline finish() {
	if
	:: target_lock == AGENT(m) && tj[m] == T_RUNNING ->
		if
		:: tj[m] == T_FILLED
		:: target_lock != AGENT(m)
		:: target != RUN
		fi
	:: else
	fi;
	keep()
}

/* End the source's copy. Whoever calls it has seen that the target's is complete. */
inline end_source(holder) {
	atomic {
		if
		:: source_lock == holder && source != RUN && (sj[m] == S_MARK_SENT || sj[m] == S_HANDED_OVER) ->
			source_is_ended((tj[m] == T_FILLED || tj[m] == T_KEPT) && (complete || target == NONE));
			docker_call()
		:: else -> ok = 0
		fi
	}
	if
	:: ok -> atomic {
			if
			:: source_lock == holder -> source_container = 0; source_policy = 0; source_journal(S_COMMITTED)
			:: else
			fi
		}
	:: else
	fi
}

#define CONTROLLER(m) (m + 20)
#define RESOLVER(i) (i + 30)
#define CLOSER 40

#define UNSETTLED_SOURCE(m) (sj[m] == S_FROZEN || sj[m] == S_MARK_SENT || sj[m] == S_HANDED_OVER)
#define UNSETTLED_TARGET(m) (tj[m] >= T_RESTORING && tj[m] <= T_FILLED)

/* Nobody holds the lock, and no other migration of the service is unsettled. */
#if MIGRATIONS > 1
#define SOURCE_IS_FREE (source_lock == 0 && !UNSETTLED_SOURCE(OTHER))
#define TARGET_IS_FREE (target_lock == 0 && !UNSETTLED_TARGET(OTHER))
#else
#define SOURCE_IS_FREE (source_lock == 0)
#define TARGET_IS_FREE (target_lock == 0)
#endif

inline maybe_die() {
	if
	:: skip
	:: goto dead
	fi
}

proctype Controller(byte m) {
	bit ok;
	/* The preflight. */
	if
	:: source == RUN
	:: source != RUN -> goto dead
	fi;
	/* An agent starts only with the lock, and where no other migration of the service is left unsettled. */
	atomic {
		if
		:: TARGET_IS_FREE -> target_lock = AGENT(m)
		:: else -> goto dead
		fi;
#if MIGRATIONS > 1
		if
		:: tj[OTHER] == T_OPEN || tj[OTHER] == T_ARMED -> target_container = 0; tj[OTHER] = T_DESTROYED
		:: else
		fi;
#endif
		tj[m] = T_OPEN;
		run TargetAgent(m)
	}
	maybe_die();
	atomic {
		if
		:: SOURCE_IS_FREE -> source_lock = AGENT(m)
		:: else -> goto dead
		fi;
#if MIGRATIONS > 1
		if
		:: sj[OTHER] == S_OPEN -> sj[OTHER] = S_ROLLED_BACK
		:: else
		fi;
#endif
		sj[m] = S_OPEN;
		run ThawGuard(m);
		run SourceAgent(m)
	}
	maybe_die();
	/* Docker creates the container, if its name is free. */
	atomic {
		if
		:: target_lock == AGENT(m) && tj[m] == T_OPEN && target_container == 0 ->
			docker_call();
			if
			:: ok -> target_container = AGENT(m); target_policy = 0; target_journal(T_ARMED)
			:: else
			fi
		:: else -> ok = 0
		fi;
		if
		:: !ok -> goto dead
		:: else
		fi
	}
	maybe_die();
	hand_over[m] = 1;
	if
	:: result[m]
	:: source_lock != AGENT(m)
	:: goto dead
	fi;
	if
	:: result[m] == HANDED_OVER ->
		finish();
		if
		:: ok -> maybe_die();
			atomic { if :: source_lock == 0 -> source_lock = CONTROLLER(m) :: else -> goto dead fi };
			end_source(CONTROLLER(m));
			atomic { if :: source_lock == CONTROLLER(m) -> source_lock = 0 :: else fi }
		:: else
		fi
	:: else
	fi;
	/* Whatever failed: each agent decides for itself. Nothing is done by the container's name. */
dead:
	controller_dead[m] = 1
}

/* The containers of migration m as a host shows them: 0 running, 1 frozen, 2 exited, 3 created, 4 absent. */
#define SHOW_SOURCE (!source_container -> 4 : (source == RUN -> 0 : (source == FROZEN -> 1 : 2)))
#define SHOW_TARGET (target_container != AGENT(m) -> 4 : (target == RUN -> 0 : (tj[m] <= T_ARMED || restoring -> 3 : 2)))

/* Scratch, used within one atomic step. */
byte x_s; byte x_sc; byte x_sa; byte x_t; byte x_tc; byte x_ta; byte x_w; byte x_d;

/* What decision.py says: on the target 0 nothing, 1 destroy, 2 finish, 3 start; on the source 0 nothing, 4 release,
 * 8 end; 16: the operator's word for the older state is asked for. */
inline ask_table() {
	x_s = seen_s; x_sc = seen_sc; x_sa = seen_sa;
	x_t = seen_t; x_tc = seen_tc; x_ta = seen_ta; x_w = word;
	c_code {
		now.x_d = decision_table[now.x_s][now.x_sc][now.x_sa][now.x_t][now.x_tc][now.x_ta][now.x_w];
	};
	decided = x_d;
	x_d = 0; x_s = 0; x_sc = 0; x_sa = 0; x_t = 0; x_tc = 0; x_ta = 0; x_w = 0
}

inline see_source() {
	atomic { seen_s = sj[m]; seen_sc = SHOW_SOURCE; seen_sa = (source_lock == AGENT(m)) }
}

inline see_target() {
	atomic { seen_t = tj[m]; seen_tc = SHOW_TARGET; seen_ta = (target_lock == AGENT(m)) }
}

/* Do what was decided; between any two steps others may act. */
inline carry_out(holder) {
	ok = 1;
	if
	:: decided % 4 == 1 ->
		atomic {
			if
			/* The host looks again, in its lock: what may have run is destroyed only by word, and the word counts
			 * only for the state for which it was given. */
			:: (target_lock == 0 || target_lock == AGENT(m)) && ((word && tj[m] == seen_t) ||
				(target != RUN && !UNSETTLED_TARGET(m) && tj[m] != T_KEPT)) ->
				/* The operator has given up what it served. */
				if :: word && target_container == AGENT(m) -> target_served = 0 :: else fi;
				destroy();
				target_lock = 0
			:: else -> ok = 0
			fi
		}
	:: decided % 4 == 2 -> finish()
	:: decided % 4 == 3 -> keep()
	:: else
	fi;
	if
	:: ok && (decided & 12) ->
		atomic {
			if
			:: SOURCE_IS_FREE -> source_lock = holder
			:: else -> ok = 0
			fi
		};
		if
		:: ok && (decided & 4) -> release(holder, word)
		:: ok && (decided & 8) -> end_source(holder)
		:: else
		fi;
		atomic { if :: source_lock == holder -> source_lock = 0 :: else fi }
	:: else
	fi
}

/* An operator who runs resolve at any moment, with or without words. */
proctype Resolver(byte m; byte i) {
	bit ok; bit word; byte decided;
	byte seen_s; byte seen_sc; bit seen_sa;
	byte seen_t; byte seen_tc; bit seen_ta;
	if
	:: sj[m] > S_MISSING && tj[m] > T_OPEN
	:: goto end
	fi;
	if
	:: see_source(); see_target()
	:: see_target(); see_source()
	fi;
	atomic {
		ask_table();
		if
		:: decided & 16 -> if :: word = 1; ask_table() :: skip fi
		:: else
		fi;
		decided = decided & 15;
		seen_s = 0; seen_sc = 0; seen_sa = 0; seen_tc = 0; seen_ta = 0;
		if :: !word -> seen_t = 0 :: else fi;
		if
		:: decided == 0 -> word = 0; goto end
		:: else
		fi
	};
	carry_out(RESOLVER(i));
end:
	atomic { ok = 0; word = 0; decided = 0; seen_t = 0 }
}

/* Everything that can fail, at any moment, as often as FAULTS allows. */
active proctype Nemesis() {
	do
	:: atomic { MAY_FAIL && source_lock && source_lock < 30 -> faults++; source_lock = 0 }
	:: atomic { MAY_FAIL && target_lock -> faults++; target_lock = 0 }
	:: atomic { MAY_FAIL && thaw_guard -> faults++; thaw_guard = 0 }
	:: atomic { MAY_FAIL && kill_guard -> faults++; kill_guard = 0 }
	:: atomic { MAY_FAIL && mark[0] -> faults++; mark[0] = 0 }
	:: atomic { MAY_FAIL && answer[0] -> faults++; answer[0] = 0 }
#ifdef REBOOTS
	/* Power off and on. Docker starts what has a restart policy. */
	:: atomic { MAY_FAIL -> faults++; source_lock = 0; thaw_guard = 0; source_docker_starts() }
	:: atomic { MAY_FAIL -> faults++; target_lock = 0; kill_guard = 0; if :: tj[0] < T_FILLED -> complete = 0 :: else fi;
			target_docker_starts() }
	/* Docker's daemon is stopped and started; agents live on. */
	:: atomic { MAY_FAIL -> faults++; source_docker_starts() }
	:: atomic { MAY_FAIL -> faults++; target_docker_starts() }
#endif
	:: break
	od
}

/* When nothing moves any more, resolve is run with both hosts there, by an operator who gives the word that it asks
 * for. Property 5: that ends every migration, with exactly one copy that runs. */
active proctype Closer() {
	bit ok; bit word; byte decided; byte tries; byte m;
	byte seen_s; byte seen_sc; bit seen_sa;
	byte seen_t; byte seen_tc; bit seen_ta;
	timeout;
	faults = FAULTS;
	m = 0;
	do
	:: m < MIGRATIONS && tries < 3 ->
		tries++;
		see_source(); see_target();
		atomic {
			ask_table();
			if
			:: decided & 16 -> word = 1; ask_table()
			:: else
			fi;
			decided = decided & 15
		}
		carry_out(CLOSER);
		word = 0; ok = 0
	:: m < MIGRATIONS && tries == 3 -> m++; tries = 0
	:: m >= MIGRATIONS -> break
	od;
#ifdef CHECK_END
	assert((source == RUN) + (target == RUN) == 1);
	m = 0;
	do
	:: m < MIGRATIONS ->
		assert(!UNSETTLED_SOURCE(m) && !UNSETTLED_TARGET(m) && sj[m] != S_OPEN && tj[m] != T_ARMED);
		m++
	:: else -> break
	od;
	assert(source != RUN || source_policy);
	assert(target != RUN || target_policy)
#endif
}

init {
	atomic {
		run Controller(0);
#if MIGRATIONS > 1
		run Controller(1);
#endif
#if RESOLVERS > 0
		run Resolver(0, 0);
#endif
#if RESOLVERS > 1
		run Resolver(MIGRATIONS - 1, 1);
#endif
	}
}

/* SPDX-License-Identifier: GPL-2.0-only */
/* The race: one thread runs a vCPU and checks its rseq, another one moves it from CPU to CPU. */
#ifndef RACE_H
#define RACE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "cpus.h"
#include "vm.h"

/*
 * What happens between two migrations. The time has two jobs: the checking side must get through (else it only ever
 * retries), and the vCPU thread must get back into KVM_RUN (else no migration lands there).
 */
enum delay {
	DELAY_NONE = 0,
	DELAY_USLEEP = 1, /* sleep `delay_length` microseconds */
	DELAY_GETCPU = 2, /* make `delay_length` getcpu(2) calls */
	DELAY_BOTH = DELAY_USLEEP | DELAY_GETCPU,
};

/* What is asked for. */
struct plan {
	uint64_t migrations; /* this many, or, if 0: */
	double seconds;      /* for so long */
	enum delay delay;
	uint64_t delay_length;
	double patience; /* seconds without any progress after which it is given up */
	bool keep_going; /* after the first mismatch */
	bool guest_spins;
	const char *device;
};

/* What was seen so far. */
struct tally {
	uint64_t migrations;
	uint64_t kvm_runs;   /* KVM_RUNs that came back */
	uint64_t reads;      /* read sides completed */
	uint64_t moves;      /* read sides that found the thread on another CPU than the one before */
	uint64_t retries;    /* read sides begun anew, as a migration came between */
	uint64_t mismatches;
	double seconds;      /* since the first migration; 0 before it */
	double first_after;  /* the first mismatch, on the same scale */
	uint32_t first_rseq_cpu;
	uint32_t first_kernel_cpu;
	bool in_run;         /* the vCPU thread is inside KVM_RUN now */
};

struct race {
	/* Set before the threads start, and not changed after. */
	struct plan plan;
	struct cpus cpus;
	struct vm vm;
	const char *registered_by; /* of rseq: "glibc" or "own"; NULL before that is known */

	/* Odd while a migration is under way. Written by the migrating thread. */
	_Atomic uint64_t sequence;
	_Atomic uint64_t migrations;
	_Atomic uint64_t started; /* nanoseconds, monotonic; 0: not yet */

	/* Written by the vCPU thread. */
	_Atomic uint64_t kvm_runs;
	_Atomic uint64_t reads;
	_Atomic uint64_t moves;
	_Atomic uint64_t retries;
	_Atomic uint64_t mismatches;
	_Atomic uint64_t read_at; /* the sequence of the last completed read side */
	atomic_bool in_run;
	atomic_bool ready; /* it has been through KVM_RUN and a read side once */
	pid_t vcpu_tid;    /* before `ready` */

	atomic_bool stop; /* both threads shall end */

	pthread_mutex_t lock; /* for all below */
	pthread_cond_t changed;
	int ended; /* threads that have */
	uint64_t first_at; /* nanoseconds, monotonic */
	uint32_t first_rseq_cpu;
	uint32_t first_kernel_cpu;
	struct text fault; /* why it can't go on; empty: nothing is wrong */
	char fault_room[256];
};

/* Nanoseconds of the monotonic clock. */
uint64_t race_now(void);

/* Starts both threads of a race whose first members are set and whose rest is 0. False with a reason. */
bool race_start(struct race *race, struct text *why);

/* Waits for both threads to end, at most so many seconds; whether they have. */
bool race_wait(struct race *race, double seconds);

/* Asks both threads to end, because of a fault (only the first one is kept) or for no reason (NULL). */
void race_stop(struct race *race, const char *fault);

/* What was seen so far. Exact once both threads have ended. */
struct tally race_tally(struct race *race);

#endif

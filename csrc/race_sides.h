/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A migration is the write side of a sequence counter, a check of rseq is its read side:
 *
 *	migrating thread		vCPU thread
 *	sequence = odd			even = sequence
 *	fence W1			fence R1
 *	move the vCPU thread		ask the kernel for the CPU, read rseq.cpu_id
 *	fence W2			fence R2
 *	sequence = even			begin anew if sequence != even
 *
 * W1 pairs with R2: a check that saw anything of a move sees its odd number (or a later one), and doesn't count.
 * W2 pairs with R1: a check that began with an even number sees all of the move before it.
 * All four are sequentially consistent. That is more than needed, on purpose: a move takes microseconds, so a weaker
 * order would buy nothing and would have to be argued for on each architecture.
 * The counter's own loads and stores can be relaxed then, the fences order them.
 */
#ifndef RACE_SIDES_H
#define RACE_SIDES_H

#include "race.h"

/* The threads: the read side (race_check.c) and the write side (race_migrate.c). `data` is the struct race. */
void *race_run_vcpu(void *data);
void *race_run_migrations(void *data);

/* The last thing that each thread does. */
void *race_thread_ends(struct race *race);

/*
 * The CPU by the kernel's own account. Never sched_getcpu(), nor the vDSO: glibc's sched_getcpu() returns rseq.cpu_id,
 * and a number compared with itself always agrees.
 */
uint32_t race_kernel_cpu(void);

/* A number that one thread writes and others only show or watch for progress: nothing is ordered by it. */
static inline uint64_t peek(const _Atomic uint64_t *number)
{
	return atomic_load_explicit(number, memory_order_relaxed);
}

/* Adds 1 to a number that only the calling thread writes. */
static inline uint64_t count(_Atomic uint64_t *number)
{
	uint64_t next = peek(number) + 1;

	atomic_store_explicit(number, next, memory_order_relaxed);
	return next;
}

/* Relaxed: it orders nothing, a thread may see it a turn later. Pairs with the store in race_stop(). */
static inline bool stopped(const struct race *race)
{
	return atomic_load_explicit(&race->stop, memory_order_relaxed);
}

#endif

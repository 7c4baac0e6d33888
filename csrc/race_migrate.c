// SPDX-License-Identifier: GPL-2.0-only
/* The migrating thread: the write side, and the time between two of them. */
#include "race_sides.h"

#include <time.h>

enum { POLL_US = 100 };

static void sleep_us(uint64_t us)
{
	struct timespec length = { .tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000 };

	clock_nanosleep(CLOCK_MONOTONIC, 0, &length, NULL);
}

static void pass_time(const struct plan *plan)
{
	if (plan->delay & DELAY_USLEEP)
		sleep_us(plan->delay_length);
	if (plan->delay & DELAY_GETCPU)
		for (uint64_t i = 0; i < plan->delay_length; i++)
			race_kernel_cpu();
}

static void set_sequence(struct race *race, uint64_t next)
{
	atomic_store_explicit(&race->sequence, next, memory_order_relaxed); /* ordered by W1 or W2 beside each call */
}

static bool migrate(struct race *race, uint64_t number)
{
	int cpu = race->cpus.id[number % (uint64_t)race->cpus.count];
	bool moved;

	set_sequence(race, 2 * number - 1);
	atomic_thread_fence(memory_order_seq_cst); /* W1, pairs with R2 */
	moved = cpus_confine(race->vcpu_tid, cpu);
	atomic_thread_fence(memory_order_seq_cst); /* W2, pairs with R1 */
	set_sequence(race, 2 * number);
	if (!moved)
		race_stop(race, "sched_setaffinity: a CPU can't be used any more");
	else
		count(&race->migrations);
	return moved;
}

static bool enough(const struct race *race)
{
	if (race->plan.migrations)
		return peek(&race->migrations) >= race->plan.migrations;
	return (double)(race_now() - peek(&race->started)) >= race->plan.seconds * 1e9;
}

/* Lets the vCPU thread come up; false if it never does. */
static bool wait_ready(const struct race *race)
{
	while (!stopped(race)) {
		/* Acquire: pairs with race_run_vcpu()'s release. */
		if (atomic_load_explicit(&race->ready, memory_order_acquire))
			return true;
		sleep_us(POLL_US);
	}
	return false;
}

/* The last migration counts as well: let it be checked. */
static void settle(const struct race *race)
{
	while (!stopped(race) && peek(&race->read_at) != peek(&race->sequence))
		sleep_us(POLL_US);
}

static void migrate_all(struct race *race)
{
	/* Relaxed: W1 of the first migration comes before any check that could find a mismatch and look at it. */
	atomic_store_explicit(&race->started, race_now(), memory_order_relaxed);
	for (uint64_t number = 1; !stopped(race) && !enough(race) && migrate(race, number); number++)
		pass_time(&race->plan);
	settle(race);
}

void *race_run_migrations(void *data)
{
	struct race *race = data;

	if (wait_ready(race))
		migrate_all(race);
	race_stop(race, NULL);
	return race_thread_ends(race);
}

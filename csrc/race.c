// SPDX-License-Identifier: GPL-2.0-only
/* What the main thread sees of the race: start it, wait for it, end it, count it. */
#include "race.h"

#include <string.h>
#include <time.h>

#include "race_sides.h"

uint64_t race_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void race_stop(struct race *race, const char *fault)
{
	pthread_mutex_lock(&race->lock);
	if (fault && !race->fault.used)
		text_add(&race->fault, "%s", fault);
	pthread_mutex_unlock(&race->lock);
	/* Relaxed: see stopped(), the load that it pairs with. */
	atomic_store_explicit(&race->stop, true, memory_order_relaxed);
}

void *race_thread_ends(struct race *race)
{
	pthread_mutex_lock(&race->lock);
	race->ended++;
	pthread_cond_signal(&race->changed);
	pthread_mutex_unlock(&race->lock);
	return NULL;
}

bool race_start(struct race *race, struct text *why)
{
	pthread_condattr_t monotonic;
	pthread_t thread;
	int error;

	race->fault = (struct text)TEXT_OVER(race->fault_room);
	pthread_mutex_init(&race->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&race->changed, &monotonic);
	error = pthread_create(&thread, NULL, race_run_vcpu, race);
	if (!error)
		error = pthread_create(&thread, NULL, race_run_migrations, race);
	if (error)
		text_add(why, "pthread_create: %s", strerror(error));
	return !error;
}

bool race_wait(struct race *race, double seconds)
{
	uint64_t until = race_now() + (uint64_t)(seconds * 1e9);
	struct timespec at = { .tv_sec = (time_t)(until / 1000000000u), .tv_nsec = (long)(until % 1000000000u) };
	int error = 0;
	bool over;

	pthread_mutex_lock(&race->lock);
	while (race->ended < 2 && error == 0)
		error = pthread_cond_timedwait(&race->changed, &race->lock, &at);
	over = race->ended == 2;
	pthread_mutex_unlock(&race->lock);
	return over;
}

struct tally race_tally(struct race *race)
{
	uint64_t started = peek(&race->started);
	struct tally tally = {
		.migrations = peek(&race->migrations),
		.kvm_runs = peek(&race->kvm_runs),
		.reads = peek(&race->reads),
		.moves = peek(&race->moves),
		.retries = peek(&race->retries),
		.mismatches = peek(&race->mismatches),
		.seconds = started ? (double)(race_now() - started) / 1e9 : 0,
		/* Relaxed: pairs with the stores in set_in_run(). */
		.in_run = atomic_load_explicit(&race->in_run, memory_order_relaxed),
	};

	pthread_mutex_lock(&race->lock);
	if (race->first_at > started)
		tally.first_after = (double)(race->first_at - started) / 1e9;
	tally.first_rseq_cpu = race->first_rseq_cpu;
	tally.first_kernel_cpu = race->first_kernel_cpu;
	pthread_mutex_unlock(&race->lock);
	return tally;
}

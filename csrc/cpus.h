/* SPDX-License-Identifier: GPL-2.0-only */
/* The CPUs that this process may use: their numbers may have holes, so they are listed, never counted up to. */
#ifndef CPUS_H
#define CPUS_H

#include <stdbool.h>
#include <sys/types.h>

#include "text.h"

enum { CPUS_MAX = 8192 }; /* the most that Linux can be configured for */

struct cpus {
	int count;
	int id[CPUS_MAX];
};

/* Lists what sched_getaffinity() allows; false with a reason if it can't be had. */
bool cpus_allowed(struct cpus *cpus, struct text *why);

/* Confines a thread (0: the caller) to one CPU, and returns once it is there. False: see errno. */
bool cpus_confine(pid_t tid, int cpu);

/* Adds them as taskset(1) writes them: 0,2-5 */
void cpus_add(struct text *text, const struct cpus *cpus);

#endif

// SPDX-License-Identifier: GPL-2.0-only
#include "cpus.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

/* One cpu_set_t holds CPU_SETSIZE CPUs; this is as many of them as it takes. */
typedef cpu_set_t mask[CPUS_MAX / CPU_SETSIZE];

bool cpus_allowed(struct cpus *cpus, struct text *why)
{
	mask allowed;

	cpus->count = 0;
	CPU_ZERO_S(sizeof(allowed), allowed);
	if (sched_getaffinity(0, sizeof(allowed), allowed)) {
		text_add(why, "sched_getaffinity: %s", strerror(errno));
		return false;
	}
	for (int cpu = 0; cpu < CPUS_MAX; cpu++)
		if (CPU_ISSET_S(cpu, sizeof(allowed), allowed))
			cpus->id[cpus->count++] = cpu;
	return true;
}

bool cpus_confine(pid_t tid, int cpu)
{
	mask one;

	CPU_ZERO_S(sizeof(one), one);
	CPU_SET_S(cpu, sizeof(one), one);
	return sched_setaffinity(tid, sizeof(one), one) == 0;
}

void cpus_add(struct text *text, const struct cpus *cpus)
{
	for (int first = 0, last; first < cpus->count; first = last + 1) {
		for (last = first; last + 1 < cpus->count && cpus->id[last + 1] == cpus->id[last] + 1;)
			last++;
		text_add(text, "%s%d", first ? "," : "", cpus->id[first]);
		if (last > first)
			text_add(text, "-%d", cpus->id[last]);
	}
}

// SPDX-License-Identifier: GPL-2.0-only
#include "ready.h"

#include <sched.h>
#include <string.h>
#include <sys/utsname.h>

#include "facts.h"

static int online_cpus(void)
{
	cpu_set_t cpus[8192 / CPU_SETSIZE];

	CPU_ZERO_S(sizeof(cpus), cpus);
	return sched_getaffinity(0, sizeof(cpus), cpus) ? 0 : CPU_COUNT_S(sizeof(cpus), cpus);
}

void ready_print(const char *token)
{
	char room[4096];
	struct text fact = TEXT_OVER(room);
	struct utsname name = { .release = "", .machine = "" };

	uname(&name);
	fact_begin(&fact, "ready");
	text_add(&fact, ",\"v\":1,\"release\":");
	text_add_json(&fact, name.release, strlen(name.release));
	text_add(&fact, ",\"machine\":");
	text_add_json(&fact, name.machine, strlen(name.machine));
	text_add(&fact, ",\"token\":");
	text_add_json(&fact, token, strlen(token));
	text_add(&fact, ",\"cpus\":%d", online_cpus());
	fact_print(&fact, true);
}

void done_print(void)
{
	char room[100];
	struct text fact = TEXT_OVER(room);

	fact_begin(&fact, "done");
	fact_print(&fact, true);
}

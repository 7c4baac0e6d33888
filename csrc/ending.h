/* SPDX-License-Identifier: GPL-2.0-only */
/* Who is killed after a trial. Each program has its own answer: init's is end_all.c, runner's end_family.c. */
#ifndef ENDING_H
#define ENDING_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/*
 * Kills what a trial may have left behind. `running`: the trial's own process, 0 if it has been waited for already.
 * True if somebody is left, so that it must be called again.
 */
bool end_others(pid_t running);

/* runner's alone: kills, waits and kills again until nobody is left, for some seconds at most. */
void end_everything(void);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* One run of the reproducer: started, watched, relayed, ended. */
#ifndef TRIAL_H
#define TRIAL_H

#include <stdbool.h>

/*
 * Runs argv[0] as trial `number`, at most `limit` seconds, and prints all facts about it. False if it couldn't be
 * ended: then nothing more can be run on this kernel. SIGCHLD must be blocked, with a handler.
 */
bool trial_run(int number, double limit, char *const argv[]);

/* Prints the end of a trial that can't be started at all; `error` is an errno. */
void trial_refuse(int number, int error);

#endif

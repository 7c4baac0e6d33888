/* SPDX-License-Identifier: GPL-2.0-only */
/* One run of the reproducer: started, watched, relayed, ended. */
#ifndef TRIAL_H
#define TRIAL_H

#include <stdbool.h>

struct command {
	char *const *argv;
	char *const *environment;
	const char *folder; /* to run in; NULL: where we are */
};

/*
 * Runs a command as trial `number`, at most `limit` seconds, and prints all facts about it. True if it ended well and
 * alone, so that another run makes sense: what fired needs no more, and what went wrong is tried on a fresh boot. SIGCHLD must have a handler and be blocked.
 */
bool trial_run(int number, double limit, const struct command *command);

/* Prints the end of a trial that can't be started at all; `error` is an errno. */
void trial_refuse(int number, int error);

#endif

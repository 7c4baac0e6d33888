// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the reproducer on a candidate that has the machine's own root, as an ordinary root process started over SSH:
 *
 *   runner [--cmdline FILE] TRIALS LIMIT PROGRAM [ARGUMENT...]
 *
 * TRIALS runs (0 to 1000000) of PROGRAM, an absolute path, each killed after LIMIT seconds. Prints init's facts on
 * stdout, each once. The token is the one that FILE (/proc/cmdline) holds, its other words are not looked at. PROGRAM
 * runs in the folder that runner was started in. It ends with 0 behind `done`, 125 for wrong usage, 1 if nobody reads
 * its stdout any more or a signal (SIGHUP, SIGINT, SIGTERM) asked it to end; PROGRAM and all that it started are
 * killed first. Kills nothing else, and never reboots.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "facts.h"
#include "orders.h"
#include "ready.h"
#include "tell.h"
#include "trial.h"

static void wake(int number)
{
	(void)number; /* it only has to interrupt ppoll() */
}

static void stop(int number)
{
	(void)number;
	tell_no_more = 1;
}

/* Handlers, not SIG_IGN: they end with exec, so the reproducer finds every signal as it should be. */
static void prepare_signals(void)
{
	static const int STOPS[] = { SIGHUP, SIGINT, SIGTERM };
	struct sigaction action = { .sa_handler = wake };
	sigset_t child;

	sigaction(SIGCHLD, &action, NULL);
	sigaction(SIGPIPE, &action, NULL); /* write() tells it */
	action.sa_handler = stop;
	for (size_t i = 0; i < sizeof(STOPS) / sizeof(*STOPS); i++)
		sigaction(STOPS[i], &action, NULL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_SETMASK, &child, NULL);
}

static int usage(void)
{
	fputs("usage: runner [--cmdline FILE] TRIALS LIMIT PROGRAM [ARGUMENT...]; PROGRAM is an absolute path\n", stderr);
	return 125;
}

static int run(const struct orders *orders, const struct command *command)
{
	ready_print(orders->token);
	for (long number = 1; number <= orders->trials; number++)
		if (!trial_run((int)number, (double)orders->limit, command))
			break;
	done_print();
	return 0;
}

int main(int argc, char **argv)
{
	static char *const ENVIRONMENT[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp",
					     "LANG=C", NULL };
	const char *words = "/proc/cmdline";
	struct command command = { .environment = ENVIRONMENT };
	struct orders orders;

	if (argc > 2 && strcmp(argv[1], "--cmdline") == 0) {
		words = argv[2];
		argc -= 2;
		argv += 2;
	}
	if (argc < 4 || *argv[3] != '/')
		return usage();
	orders_read(&orders, words);
	orders.trials = read_number(argv[1], 0, -1);
	orders.limit = read_number(argv[2], 1, -1);
	if (orders.trials < 0 || orders.limit < 0)
		return usage();
	command.argv = argv + 3;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1)) {
		perror("runner: can't become the parent of what its children leave behind");
		return 125;
	}
	prepare_signals();
	return run(&orders, &command);
}

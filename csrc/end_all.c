// SPDX-License-Identifier: GPL-2.0-only
/* For PID 1 alone: the whole machine is the trial's. */
#include "ending.h"

bool end_others(pid_t running)
{
	(void)running;
	kill(-1, SIGKILL);
	return false; /* who was killed and hangs in the kernel is trial.c's concern */
}

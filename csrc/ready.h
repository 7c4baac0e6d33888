/* SPDX-License-Identifier: GPL-2.0-only */
/* The first and the last fact. */
#ifndef READY_H
#define READY_H

/* Who is there: release and machine of the kernel, the token of its command line, the CPUs that may be used. */
void ready_print(const char *token);

/* All trials have ended. */
void done_print(void);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* Where facts go. Each program has its own way: init's is tell_console.c, runner's tell_stdout.c. */
#ifndef TELL_H
#define TELL_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/* Passes on one line, its newline included. */
void tell(const char *line, size_t length, bool must_not_be_lost);

/* runner's alone: the next fact is its last, a signal has asked it to end. */
extern volatile sig_atomic_t tell_no_more;

#endif

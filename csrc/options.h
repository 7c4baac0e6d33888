/* SPDX-License-Identifier: GPL-2.0-only */
/* The reproducer's command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "race.h"

/* Fills in the plan, defaults first. False with a reason if it can't be followed (or help was asked for). */
bool options_read(struct plan *plan, int argc, char **argv, struct text *why);

const char *delay_name(enum delay delay);

#endif

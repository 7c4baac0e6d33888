/* SPDX-License-Identifier: GPL-2.0-only */
/* The lines that init prints for bisectbot: "@bb <number> <CRC-32 of the JSON> <JSON>". */
#ifndef FACTS_H
#define FACTS_H

#include <stdbool.h>

#include "text.h"

/*
 * Kernel messages may cut into a line: the CRC shows it, and what must not be lost is printed FACT_REPEATS times
 * under one number.
 */
enum { FACT_REPEATS = 3 };

/* Starts a fact: {"t":"<kind>" */
void fact_begin(struct text *fact, const char *kind);

/* Ends it, and prints it once or FACT_REPEATS times. */
void fact_print(struct text *fact, bool must_not_be_lost);

/* Waits until the console has sent all of it. */
void facts_flush(void);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* The lines that init and runner print for bisectbot: "@bb <number> <CRC-32 of the JSON> <JSON>". */
#ifndef FACTS_H
#define FACTS_H

#include <stdbool.h>

#include "text.h"

/* Starts a fact: {"t":"<kind>" */
void fact_begin(struct text *fact, const char *kind);

/* Ends it, and tells it: where to, and how often, is tell.h's concern. */
void fact_print(struct text *fact, bool must_not_be_lost);

#endif

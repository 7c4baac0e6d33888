/* SPDX-License-Identifier: GPL-2.0-only */
/* What a program prints, cut into lines and relayed as facts, bounded. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

enum {
	OUTPUT_LINE = 1000,       /* bytes of a line that are kept */
	OUTPUT_TRIAL = 64 * 1024, /* bytes of a trial that are kept, of both streams together */
};

/* Shared by the streams of one trial. */
struct budget {
	int trial;
	size_t spent;
	bool told; /* that there is more than was relayed */
};

struct stream {
	int fd;     /* to read from, non-blocking; -1: ended */
	int number; /* the program's own: 1 or 2 */
	struct budget *budget;
	char line[OUTPUT_LINE];
	size_t used;   /* bytes in `line` */
	bool dropping; /* the line was longer: skip to its end */
	/* The last line that looks like a JSON object and was not relayed, as the budget was spent. */
	char kept[OUTPUT_LINE];
	size_t kept_used;
};

/* Reads what there is and relays its complete lines. */
void output_read(struct stream *stream);

/* The end: relays a last line without a newline, and the kept one. */
void output_end(struct stream *stream);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* What bisectbot asks for, by words on the kernel's command line; init.c lists them. */
#ifndef ORDERS_H
#define ORDERS_H

#include <sys/types.h>

enum { WORD_MAX = 256 };

struct orders {
	char token[WORD_MAX];
	char report[WORD_MAX]; /* "IPV4:PORT", as it stands; empty: nowhere */
	long trials;
	long limit; /* seconds */
};

/* Reads a file like /proc/cmdline. What is missing or makes no sense is left at one trial of 60 seconds. */
void orders_read(struct orders *orders, const char *path);

/* Reads a number of `least` to 1000000; `fallback` if it isn't one. */
long read_number(const char *word, long least, long fallback);

/* At most `room` - 1 bytes of a file, and a NUL; -1 if it can't be read, `room` if there is more. */
ssize_t read_file(const char *path, char *bytes, size_t room);

#endif

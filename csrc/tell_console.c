// SPDX-License-Identifier: GPL-2.0-only
#include "tell.h"

#include <errno.h>
#include <unistd.h>

#include "report.h"

/* Kernel messages may cut into a line: its CRC shows it, and then one of the others is whole. */
enum { REPEATS = 3 };

static void print(const char *line, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t more = write(STDOUT_FILENO, line + done, length - done);

		if (more < 0 && errno != EINTR && errno != EAGAIN)
			return; /* no console, nobody to tell */
		done += more > 0 ? (size_t)more : 0;
	}
}

void tell(const char *line, size_t length, bool must_not_be_lost)
{
	report_line(line, length, must_not_be_lost); /* first: it never blocks, a console may */
	for (int i = 0; i < (must_not_be_lost ? REPEATS : 1); i++)
		print(line, length);
}

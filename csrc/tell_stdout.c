// SPDX-License-Identifier: GPL-2.0-only
#include "tell.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "clock.h"
#include "ending.h"

/* Seconds for which a reader may read nothing: then it is gone, or as good as gone. Tests have less patience. */
#ifndef TELL_PATIENCE
#define TELL_PATIENCE 15
#endif

volatile sig_atomic_t tell_no_more;

/* Whether a piece of at most PIPE_BUF bytes can be written without blocking, or an error be had at once. */
static bool has_room(double until)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };

	while (!tell_no_more && now() < until)
		if (poll(&out, 1, 100) > 0)
			return true;
	return false;
}

static bool print(const char *line, size_t length)
{
	for (size_t done = 0; done < length;) {
		size_t piece = length - done < PIPE_BUF ? length - done : PIPE_BUF;
		ssize_t more;

		if (!has_room(now() + TELL_PATIENCE) || (more = write(STDOUT_FILENO, line + done, piece)) < 0)
			return false;
		done += (size_t)more;
	}
	return true;
}

/* What nobody hears of need not go on: the connection is gone, and nothing of ours may stay behind. */
void tell(const char *line, size_t length, bool must_not_be_lost)
{
	(void)must_not_be_lost; /* nobody else writes between */
	if (print(line, length))
		return;
	end_everything();
	_exit(1);
}

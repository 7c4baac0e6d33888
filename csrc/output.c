// SPDX-License-Identifier: GPL-2.0-only
#include "output.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "facts.h"

static void relay(const struct stream *stream, const char *line, size_t length)
{
	static char room[6 * OUTPUT_LINE + 100];
	struct text fact = TEXT_OVER(room);

	fact_begin(&fact, "out");
	text_add(&fact, ",\"trial\":%d,\"fd\":%d,\"line\":", stream->budget->trial, stream->number);
	text_add_json(&fact, line, length);
	fact_print(&fact, length && *line == '{'); /* counts come as JSON objects: they must not be lost */
}

static void tell_cut(struct budget *budget)
{
	char room[100];
	struct text fact = TEXT_OVER(room);

	if (budget->told)
		return;
	budget->told = true;
	fact_begin(&fact, "out-cut");
	text_add(&fact, ",\"trial\":%d", budget->trial);
	fact_print(&fact, false);
}

/* A chatty program's last word would fall to the limit, and its counts stand there: keep it for output_end(). */
static void keep(struct stream *stream)
{
	if (!stream->used || *stream->line != '{')
		return;
	memcpy(stream->kept, stream->line, stream->used);
	stream->kept_used = stream->used;
}

static void end_line(struct stream *stream)
{
	struct budget *budget = stream->budget;

	if (budget->told || budget->spent + stream->used > OUTPUT_TRIAL) {
		tell_cut(budget);
		keep(stream);
	} else {
		budget->spent += stream->used + 1;
		relay(stream, stream->line, stream->used);
	}
	stream->used = 0;
	stream->dropping = false;
}

static void take(struct stream *stream, char byte)
{
	if (byte == '\n')
		end_line(stream);
	else if (stream->used < OUTPUT_LINE)
		stream->line[stream->used++] = byte;
	else
		stream->dropping = true;
}

void output_read(struct stream *stream)
{
	char bytes[4096];
	ssize_t got = read(stream->fd, bytes, sizeof(bytes));

	for (ssize_t i = 0; i < got; i++)
		take(stream, bytes[i]);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		close(stream->fd);
		stream->fd = -1;
	}
}

void output_end(struct stream *stream)
{
	if (stream->used || stream->dropping)
		end_line(stream);
	if (stream->kept_used)
		relay(stream, stream->kept, stream->kept_used);
}

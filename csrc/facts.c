// SPDX-License-Identifier: GPL-2.0-only
#include "facts.h"

#include <errno.h>
#include <stdint.h>
#include <termios.h>
#include <unistd.h>

/* Longest line: 1000 bytes of output, \u00XX each, and what stands around them. */
enum { LINE_MAX = 6400 };

/* CRC-32 as zlib has it: polynomial 0x04c11db7, bits reversed. */
static uint32_t crc32(const char *bytes, size_t length)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < length; i++) {
		crc ^= (unsigned char)bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
	}
	return ~crc;
}

static void print(const struct text *line)
{
	for (size_t done = 0; done < line->used;) {
		ssize_t more = write(STDOUT_FILENO, line->at + done, line->used - done);

		if (more < 0 && errno != EINTR && errno != EAGAIN)
			return; /* no console, nobody to tell */
		done += more > 0 ? (size_t)more : 0;
	}
}

void fact_begin(struct text *fact, const char *kind)
{
	text_add(fact, "{\"t\":\"%s\"", kind);
}

void fact_print(struct text *fact, bool must_not_be_lost)
{
	static unsigned int number;
	static char room[LINE_MAX];
	struct text line = TEXT_OVER(room);

	text_add(fact, "}");
	text_add(&line, "@bb %u %08x %s\n", ++number, crc32(fact->at, fact->used), fact->at);
	for (int i = 0; i < (must_not_be_lost ? FACT_REPEATS : 1); i++)
		print(&line);
}

void facts_flush(void)
{
	tcdrain(STDOUT_FILENO);
}

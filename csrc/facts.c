// SPDX-License-Identifier: GPL-2.0-only
#include "facts.h"

#include <stdint.h>

#include "tell.h"

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
	tell(line.at, line.used, must_not_be_lost);
}

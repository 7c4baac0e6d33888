/* SPDX-License-Identifier: GPL-2.0-only */
/* Bounded text: what doesn't fit is dropped and remembered, never written past the end. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
	char *at;    /* always ends with a NUL */
	size_t room; /* bytes of `at`, the NUL included */
	size_t used; /* bytes in it, without the NUL */
	bool cut;    /* something was dropped */
};

/* A text over an array that is in scope. */
#define TEXT_OVER(array) { .at = (array), .room = sizeof(array) }

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Adds a JSON string with its quotes. Any bytes will do: what isn't printable ASCII becomes \u00XX, one code point a
 * byte, so that a reader gets the bytes back by encoding the string as Latin-1.
 */
void text_add_json(struct text *text, const char *bytes, size_t length);

#endif

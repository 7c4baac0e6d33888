// SPDX-License-Identifier: GPL-2.0-only
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_add(struct text *text, const char *format, ...)
{
	size_t left = text->room - text->used;
	va_list args;
	int wanted;

	va_start(args, format);
	wanted = vsnprintf(text->at + text->used, left, format, args);
	va_end(args);
	if (wanted < 0 || (size_t)wanted >= left) {
		text->at[text->used] = '\0'; /* all or nothing: half a number would be another number */
		text->cut = true;
		return;
	}
	text->used += (size_t)wanted;
}

static void add_json_byte(struct text *text, unsigned char byte)
{
	if (byte == '"' || byte == '\\')
		text_add(text, "\\%c", byte);
	else if (byte >= ' ' && byte <= '~' && byte != '[') /* no output may look like a kernel's time stamp */
		text_add(text, "%c", byte);
	else
		text_add(text, "\\u%04x", byte);
}

void text_add_json(struct text *text, const char *bytes, size_t length)
{
	text_add(text, "\"");
	for (size_t i = 0; i < length; i++)
		add_json_byte(text, (unsigned char)bytes[i]);
	text_add(text, "\"");
}

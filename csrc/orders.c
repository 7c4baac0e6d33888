// SPDX-License-Identifier: GPL-2.0-only
#include "orders.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t read_file(const char *path, char *bytes, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t got = -1;

	if (fd < 0)
		return -1;
	while (used < room && (got = read(fd, bytes + used, room - used)) > 0)
		used += (size_t)got;
	close(fd);
	if (got < 0)
		return -1;
	bytes[used < room ? used : room - 1] = '\0';
	return (ssize_t)used;
}

long read_number(const char *word, long least, long fallback)
{
	char *end;
	long number = strtol(word, &end, 10);

	return end != word && !*end && number >= least && number <= 1000000 ? number : fallback;
}

/* What stands behind `name` in `word`; NULL if it is another word. */
static const char *value_of(const char *word, const char *name)
{
	size_t length = strlen(name);

	return strncmp(word, name, length) ? NULL : word + length;
}

static void take_word(struct orders *orders, const char *word)
{
	const char *value;

	if ((value = value_of(word, "bisectbot.token=")))
		snprintf(orders->token, sizeof(orders->token), "%s", value);
	else if ((value = value_of(word, "bisectbot.report=")))
		snprintf(orders->report, sizeof(orders->report), "%s", value);
	else if ((value = value_of(word, "bisectbot.trials=")))
		orders->trials = read_number(value, 0, orders->trials);
	else if ((value = value_of(word, "bisectbot.limit=")))
		orders->limit = read_number(value, 1, orders->limit);
}

void orders_read(struct orders *orders, const char *path)
{
	static char line[8192];
	char *rest = NULL;

	*orders = (struct orders){ .trials = 1, .limit = 60 };
	if (read_file(path, line, sizeof(line)) < 0)
		return;
	for (char *word = strtok_r(line, " \t\n", &rest); word; word = strtok_r(NULL, " \t\n", &rest))
		take_word(orders, word);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * For an ordinary process on a machine that isn't its own: kills children of this process and nobody else. As it is a
 * "child subreaper", the children of whom it kills become its own, and it kills them next. The number of a child can't
 * be another process's before the child has been waited for, so no stranger is ever hit.
 */
#include "ending.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

static const double GRACE = 3;

/* Whether the process of that number is a child of ours: /proc/N/stat is "N (NAME) STATE PARENT". */
static bool is_our_child(const char *number)
{
	char path[64], bytes[512], *name_end;
	ssize_t got = -1;
	int fd, parent;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", number);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		got = read(fd, bytes, sizeof(bytes) - 1);
		close(fd);
	}
	if (got <= 0)
		return false;
	bytes[got] = '\0';
	name_end = strrchr(bytes, ')'); /* a name may hold anything, brackets too */
	return name_end && sscanf(name_end + 1, " %*c %d", &parent) == 1 && parent == getpid();
}

static bool kill_children(void)
{
	DIR *processes = opendir("/proc");
	bool found = false;

	if (!processes)
		return false;
	for (struct dirent *entry; (entry = readdir(processes));) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || !is_our_child(entry->d_name))
			continue;
		found = true;
		kill((pid_t)strtol(entry->d_name, NULL, 10), SIGKILL);
	}
	closedir(processes);
	return found;
}

bool end_others(pid_t running)
{
	if (running > 0)
		kill(-running, SIGKILL); /* its process group in one stroke: nobody in it can fork away */
	return kill_children();
}

void end_everything(void)
{
	double until = now() + GRACE;
	struct timespec moment = { .tv_nsec = 10 * 1000 * 1000 };

	while (end_others(0) && now() < until) {
		nanosleep(&moment, NULL);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

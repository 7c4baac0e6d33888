// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes a kernel fail on purpose. As PID 1 it takes its orders from what follows "--" on the kernel command line, and
 * reboots when they are done; as any other process it takes them as arguments.
 *
 *   lkdtm NAME        have LKDTM do NAME (PANIC, WARNING, EXCEPTION ...), in a child
 *   self NAME         the same in this very process: an oops then kills PID 1
 *   sysrq LETTER      write LETTER to /proc/sysrq-trigger
 *   set PATH VALUE    write VALUE to a file (a sysctl)
 *   load FILE PARAMS  load a kernel module, in a child
 *   eat               touch memory until the kernel objects, in a child
 *   say TEXT          print TEXT
 *   pause SECONDS     wait
 *   exit CODE         end now
 *
 * A child that isn't back after 20 seconds is left behind.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_SECONDS 20

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("provoke: %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void lkdtm(const char *name, const char *unused)
{
	(void)unused;
	put("/sys/kernel/debug/provoke-crash/DIRECT", name);
}

static void sysrq(const char *letter, const char *unused)
{
	(void)unused;
	put("/proc/sysrq-trigger", letter);
}

static void load(const char *file, const char *params)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, params, 0))
		printf("provoke: %s: %s\n", file, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void eat(const char *unused, const char *unused_too)
{
	const size_t piece = 1UL << 20;
	char *p;

	(void)unused;
	(void)unused_too;
	while ((p = mmap(NULL, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED)
		memset(p, 1, piece);
}

static void in_child(void (*act)(const char *, const char *), const char *a, const char *b)
{
	pid_t child = fork();

	if (child == 0) {
		act(a, b);
		fflush(stdout);
		_exit(0);
	}
	for (int tenths = 0; tenths < CHILD_SECONDS * 10 && waitpid(child, NULL, WNOHANG) == 0; tenths++)
		usleep(100000);
}

/* Does the order that starts at argv[0]; returns how many words it took. */
static int obey(char **argv, int left)
{
	const char *what = argv[0];
	const char *a = left > 1 ? argv[1] : "";
	const char *b = left > 2 ? argv[2] : "";

	if (!strcmp(what, "eat")) {
		in_child(eat, "", "");
		return 1;
	}
	if (!strcmp(what, "set")) {
		put(a, b);
		return 3;
	}
	if (!strcmp(what, "load")) {
		in_child(load, a, b);
		return 3;
	}
	if (!strcmp(what, "lkdtm"))
		in_child(lkdtm, a, "");
	else if (!strcmp(what, "self"))
		lkdtm(a, "");
	else if (!strcmp(what, "sysrq"))
		sysrq(a, "");
	else if (!strcmp(what, "say"))
		printf("%s\n", a);
	else if (!strcmp(what, "pause"))
		sleep((unsigned int)atoi(a));
	else if (!strcmp(what, "exit"))
		exit(atoi(a));
	else
		printf("provoke: what is %s?\n", what);
	return 2;
}

static void mount_all(void)
{
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mount("proc", "/proc", "proc", 0, "");
	mount("sysfs", "/sys", "sysfs", 0, "");
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, "");
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	mount_all();
	for (int i = 1; i < argc;)
		i += obey(argv + i, argc - i);
	if (getpid() == 1) {
		sync();
		reboot(RB_AUTOBOOT);
	}
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of a candidate kernel: says who is there, runs the reproducer the asked number of times, tells how each run
 * ended, reboots. It must not end, hang or believe anything: the kernel under it may be broken.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "facts.h"
#include "trial.h"

enum { ARGS_BYTES = 64 * 1024, ARGS_MAX = 1024, WORD_MAX = 256 };

/* --- the file systems ---------------------------------------------------------------------------------------------- */

static void make_node(const char *path, unsigned int major_number, unsigned int minor_number)
{
	mknod(path, S_IFCHR | 0666, makedev(major_number, minor_number)); /* it may be there already */
}

/* A kernel without devtmpfs: the nodes whose numbers never change. */
static void make_nodes(void)
{
	make_node("/dev/console", 5, 1);
	make_node("/dev/tty", 5, 0);
	make_node("/dev/null", 1, 3);
	make_node("/dev/zero", 1, 5);
	make_node("/dev/full", 1, 7);
	make_node("/dev/random", 1, 8);
	make_node("/dev/urandom", 1, 9);
	make_node("/dev/kmsg", 1, 11);
	make_node("/dev/kvm", 10, 232);
}

/* Nothing here is fatal: what is missing, the reproducer will miss and say so. */
static void mount_all(void)
{
	static const char *const FOLDERS[] = { "/proc", "/sys", "/dev", "/tmp" };

	for (size_t i = 0; i < sizeof(FOLDERS) / sizeof(*FOLDERS); i++)
		mkdir(FOLDERS[i], 0755);
	if (access("/proc/cmdline", F_OK))
		mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	if (mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, NULL))
		make_nodes();
}

/* The kernel gives us /dev/console as 0, 1 and 2 if it found one in the initramfs. */
static void open_console(void)
{
	int console;

	if (fcntl(STDOUT_FILENO, F_GETFD) >= 0)
		return;
	console = open("/dev/console", O_RDWR | O_NOCTTY);
	if (console < 0)
		return;
	for (int fd = 0; fd <= 2; fd++)
		dup2(console, fd);
	if (console > 2)
		close(console);
}

/* --- what we are asked for ----------------------------------------------------------------------------------------- */

struct orders {
	char token[WORD_MAX];
	long trials;
	long limit; /* seconds */
};

/* At most `room` - 1 bytes of a file, and a NUL; -1 if it can't be read, `room` if there is more. */
static ssize_t read_file(const char *path, char *bytes, size_t room)
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

static long read_number(const char *word, long fallback)
{
	char *end;
	long number = strtol(word, &end, 10);

	return end != word && !*end && number > 0 && number <= 1000000 ? number : fallback;
}

static void take_word(struct orders *orders, const char *word)
{
	if (strncmp(word, "bisectbot.token=", 16) == 0)
		snprintf(orders->token, sizeof(orders->token), "%s", word + 16);
	else if (strncmp(word, "bisectbot.trials=", 17) == 0)
		orders->trials = read_number(word + 17, orders->trials);
	else if (strncmp(word, "bisectbot.limit=", 16) == 0)
		orders->limit = read_number(word + 16, orders->limit);
}

static void read_orders(struct orders *orders)
{
	static char line[8192];
	char *rest = NULL;

	*orders = (struct orders){ .trials = 1, .limit = 60 };
	if (read_file("/proc/cmdline", line, sizeof(line)) < 0)
		return;
	for (char *word = strtok_r(line, " \t\n", &rest); word; word = strtok_r(NULL, " \t\n", &rest))
		take_word(orders, word);
}

/* /bisectbot/argv: a NUL behind each argument. False if there are too many: half a command would be another one. */
static bool read_arguments(char *argv[ARGS_MAX + 2])
{
	static char bytes[ARGS_BYTES];
	ssize_t used = read_file("/bisectbot/argv", bytes, sizeof(bytes));
	int count = 0;

	argv[count++] = (char[]){ "/bisectbot/reproducer" };
	if (used >= (ssize_t)sizeof(bytes))
		return false;
	for (char *word = bytes; word < bytes + used; word += strlen(word) + 1) {
		if (count > ARGS_MAX)
			return false;
		argv[count++] = word;
	}
	argv[count] = NULL;
	return true;
}

/* --- what we say --------------------------------------------------------------------------------------------------- */

static int online_cpus(void)
{
	cpu_set_t cpus[8192 / CPU_SETSIZE];

	CPU_ZERO_S(sizeof(cpus), cpus);
	return sched_getaffinity(0, sizeof(cpus), cpus) ? 0 : CPU_COUNT_S(sizeof(cpus), cpus);
}

static void print_ready(const struct orders *orders)
{
	char room[4096];
	struct text fact = TEXT_OVER(room);
	struct utsname name = { .release = "", .machine = "" };

	uname(&name);
	fact_begin(&fact, "ready");
	text_add(&fact, ",\"v\":1,\"release\":");
	text_add_json(&fact, name.release, strlen(name.release));
	text_add(&fact, ",\"machine\":");
	text_add_json(&fact, name.machine, strlen(name.machine));
	text_add(&fact, ",\"token\":");
	text_add_json(&fact, orders->token, strlen(orders->token));
	text_add(&fact, ",\"cpus\":%d", online_cpus());
	fact_print(&fact, true);
}

static void print_done(void)
{
	char room[100];
	struct text fact = TEXT_OVER(room);

	fact_begin(&fact, "done");
	fact_print(&fact, true);
}

static void run_trials(const struct orders *orders)
{
	static char *argv[ARGS_MAX + 2];

	if (!read_arguments(argv)) {
		trial_refuse(1, E2BIG);
		return;
	}
	for (long number = 1; number <= orders->trials; number++)
		if (!trial_run((int)number, (double)orders->limit, argv))
			return; /* it hangs in the kernel: nothing after it could be trusted */
}

/* --- PID 1 --------------------------------------------------------------------------------------------------------- */

static void wake(int number)
{
	(void)number; /* it only has to interrupt ppoll() */
}

static void __attribute__((noreturn)) leave(void)
{
	facts_flush();
	sync();
	reboot(RB_AUTOBOOT);
	for (;;)
		pause(); /* a PID 1 that ended would be a panic of our own making */
}

int main(void)
{
	struct sigaction action = { .sa_handler = wake };
	struct orders orders;
	sigset_t child;

	if (getpid() != 1) {
		fputs("init: only as PID 1: it kills every process and reboots the machine\n", stderr);
		return 125;
	}
	sigaction(SIGCHLD, &action, NULL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	mount_all();
	open_console();
	read_orders(&orders);
	print_ready(&orders);
	run_trials(&orders);
	print_done();
	leave();
}

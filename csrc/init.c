// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of a candidate kernel: says who is there, runs the reproducer the asked number of times, tells how each run
 * ended, reboots. It must not end, hang or believe anything: the kernel under it may be broken.
 *
 * Words on the kernel's command line; of a word that comes twice the last one counts:
 *
 *   bisectbot.token=HEX         told in `ready`: proves which boot this is
 *   bisectbot.trials=N          how often the reproducer is run (1); 0: a plain boot test, ready and done
 *   bisectbot.limit=SECONDS     for each run (60); then it is killed
 *   bisectbot.report=IPV4:PORT  facts go there over TCP, too, not only to the console. The kernel has to bring the
 *                               network up: ip=dhcp, or ip=ADDRESS::GATEWAY:NETMASK::eth0:off. Connecting takes at most
 *                               20 seconds before `ready`; after that, and while it is broken, trials go on without it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "orders.h"
#include "ready.h"
#include "report.h"
#include "trial.h"

enum { ARGS_BYTES = 64 * 1024, ARGS_MAX = 1024 };

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

/* No socket or pipe of ours may get one of these numbers. A folder takes no writes, and there always is one. */
static void fill_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_NOCTTY) < 0)
			open("/", O_RDONLY | O_DIRECTORY);
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

static void run_trials(const struct orders *orders)
{
	static char *const ENVIRONMENT[] = { "PATH=/bisectbot", "HOME=/tmp", "LANG=C", NULL };
	static char *argv[ARGS_MAX + 2];
	struct command command = { .argv = argv, .environment = ENVIRONMENT, .folder = "/tmp" };

	if (orders->trials == 0)
		return;
	if (!read_arguments(argv)) {
		trial_refuse(1, E2BIG);
		return;
	}
	for (long number = 1; number <= orders->trials; number++)
		if (!trial_run((int)number, (double)orders->limit, &command))
			return;
}

/* --- PID 1 --------------------------------------------------------------------------------------------------------- */

static void wake(int number)
{
	(void)number; /* it only has to interrupt ppoll() */
}

static void __attribute__((noreturn)) leave(void)
{
	report_finish();
	tcdrain(STDOUT_FILENO);
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
	fill_standard_streams();
	orders_read(&orders, "/proc/cmdline");
	if (*orders.report && !report_start(orders.report))
		fprintf(stderr, "init: no connection to bisectbot.report=%s\n", orders.report);
	ready_print(orders.token);
	run_trials(&orders);
	done_print();
	leave();
}

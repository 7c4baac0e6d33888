// SPDX-License-Identifier: GPL-2.0-only
#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "ending.h"
#include "facts.h"
#include "output.h"

/* How long a killed program may take to disappear. One that hangs in the kernel never does. */
static const double GRACE = 3;

struct child {
	pid_t pid;
	bool ended;
	int status; /* as waitpid() has it */
	int exec_error; /* 0: it could be executed */
	struct budget budget;
	struct stream out[2];
};

/* Takes in every process that has ended: orphans fall to us. */
static void reap(struct child *child)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == child->pid) {
			child->ended = true;
			child->status = status;
		}
	}
}

/* --- starting ------------------------------------------------------------------------------------------------------ */

static bool enter(const char *folder)
{
	return !folder || chdir(folder) == 0 || chdir("/") == 0;
}

/* In the child: stdin empty, a session of its own, default signals, a small environment. */
static void __attribute__((noreturn)) become(const struct command *command, int out, int err, int report)
{
	int nothing = open("/dev/null", O_RDWR);
	sigset_t none;
	int error;

	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (nothing < 0)
		close(STDIN_FILENO);
	else
		dup2(nothing, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	if (enter(command->folder))
		execve(command->argv[0], command->argv, command->environment);
	error = errno;
	if (write(report, &error, sizeof(error)) != sizeof(error))
		_exit(126);
	_exit(127);
}

/* All ends are closed by exec; the two that the child keeps are duplicated by then. */
static bool make_pipes(int pipes[3][2])
{
	for (int i = 0; i < 3; i++)
		if (pipe2(pipes[i], O_CLOEXEC))
			return false;
	return true;
}

static void open_streams(struct child *child, int pipes[3][2])
{
	for (int i = 0; i < 2; i++) {
		child->out[i] = (struct stream){ .fd = pipes[i][0], .number = i + 1, .budget = &child->budget };
		fcntl(pipes[i][0], F_SETFL, O_NONBLOCK);
	}
}

static void start(struct child *child, const struct command *command)
{
	int pipes[3][2];

	if (!make_pipes(pipes) || (child->pid = fork()) < 0) {
		child->exec_error = errno;
		child->ended = true;
		child->out[0].fd = child->out[1].fd = -1;
		return;
	}
	if (child->pid == 0)
		become(command, pipes[0][1], pipes[1][1], pipes[2][1]);
	for (int i = 0; i < 3; i++)
		close(pipes[i][1]);
	open_streams(child, pipes);
	/* Ends at once: by the error, or by exec, which closes it. */
	if (read(pipes[2][0], &child->exec_error, sizeof(child->exec_error)) != sizeof(child->exec_error))
		child->exec_error = 0;
	close(pipes[2][0]);
}

/* --- watching ------------------------------------------------------------------------------------------------------ */

/* Sleeps until there is output, a child has ended or the moment has come. SIGCHLD gets through only in here. */
static void wait_until(struct child *child, double moment)
{
	double left = moment - now();
	struct timespec patience = { 0, 0 };
	struct pollfd fds[2];
	sigset_t none;

	if (left > 0)
		patience = (struct timespec){ .tv_sec = (time_t)left, .tv_nsec = (long)((left - (double)(time_t)left) * 1e9) };
	for (int i = 0; i < 2; i++)
		fds[i] = (struct pollfd){ .fd = child->out[i].fd, .events = POLLIN };
	sigemptyset(&none);
	if (ppoll(fds, 2, &patience, &none) > 0)
		for (int i = 0; i < 2; i++)
			if (fds[i].revents)
				output_read(&child->out[i]);
	reap(child);
}

static void beat(int trial, int seconds)
{
	char room[100];
	struct text fact = TEXT_OVER(room);

	fact_begin(&fact, "beat");
	text_add(&fact, ",\"trial\":%d,\"s\":%d", trial, seconds);
	fact_print(&fact, false);
}

/* A beat each second, whatever the program does: it tells that the kernel still runs. True if it ended in time. */
static bool watch(struct child *child, double started, double limit)
{
	int beats = 0;

	while (!child->ended && now() < started + limit) {
		double next = started + beats + 1;

		if (now() >= next)
			beat(child->budget.trial, ++beats);
		else
			wait_until(child, next < started + limit ? next : started + limit);
	}
	return child->ended;
}

/* --- ending -------------------------------------------------------------------------------------------------------- */

/* What the program left behind must not disturb the next trial. True if nobody is left. */
static bool kill_all(struct child *child)
{
	double until = now() + GRACE;
	bool again;

	do {
		double next = now() + 0.05;

		again = end_others(child->ended ? 0 : child->pid);
		reap(child);
		if (again || !child->ended)
			wait_until(child, next < until ? next : until);
	} while ((again || !child->ended) && now() < until);
	return child->ended && !again;
}

/* What is in the pipes yet. Who else may hold their other ends is dead, or not waited for. */
static void drain(struct child *child)
{
	for (int i = 0; i < 2; i++) {
		struct stream *stream = &child->out[i];
		struct pollfd fd = { .fd = stream->fd, .events = POLLIN };
		double until = now() + GRACE;

		while (stream->fd >= 0 && poll(&fd, 1, 0) > 0 && now() < until)
			output_read(stream);
		output_end(stream);
		if (stream->fd >= 0)
			close(stream->fd);
	}
}

static void print_end(const struct child *child, bool in_time, double seconds)
{
	const char *how = "exit";
	int code = WEXITSTATUS(child->status);
	char room[200];
	struct text fact = TEXT_OVER(room);

	if (child->exec_error) {
		how = "exec";
		code = child->exec_error;
	} else if (!in_time) {
		how = "limit";
		code = SIGKILL;
	} else if (WIFSIGNALED(child->status)) {
		how = "signal";
		code = WTERMSIG(child->status);
	}
	fact_begin(&fact, "end");
	text_add(&fact, ",\"trial\":%d,\"how\":\"%s\",\"code\":%d,\"ms\":%.0f", child->budget.trial, how, code, seconds * 1000);
	fact_print(&fact, true);
}

void trial_refuse(int number, int error)
{
	struct child child = { .exec_error = error, .budget = { .trial = number } };

	print_end(&child, true, 0);
}

bool trial_run(int number, double limit, const struct command *command)
{
	static struct child child;
	double started = now(), ended;
	char room[100];
	struct text fact = TEXT_OVER(room);
	bool in_time, alone;

	fact_begin(&fact, "start");
	text_add(&fact, ",\"trial\":%d", number);
	fact_print(&fact, true);
	child = (struct child){ .budget = { .trial = number } };
	start(&child, command);
	in_time = watch(&child, started, limit);
	ended = now();
	alone = kill_all(&child);
	drain(&child);
	print_end(&child, in_time, ended - started);
	return alone && in_time && !child.exec_error && WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0;
}

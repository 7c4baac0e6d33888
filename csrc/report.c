// SPDX-License-Identifier: GPL-2.0-only
#include "report.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "orders.h"

static const double RETRY = 0.25;  /* between the beginnings of two attempts */
static const double ATTEMPT = 3;   /* for one attempt */
static const double GOODBYE = 2;   /* for a peer that has got everything to end the connection, too */
enum { UNHEARD = 10 * 1000 };      /* milliseconds after which the kernel gives a silent connection up */
enum { IN_KERNEL = 64 * 1024 };    /* bytes: what it holds for a slow peer is late, and lost with the connection */
enum { KEPT = 64 * 1024, QUEUE = 2 * KEPT };

enum state {
	OFF,	    /* nobody to connect to, or no network in this kernel */
	CLOSED,
	CONNECTING,
	OPEN,
};

static struct {
	enum state state;
	int fd;
	struct sockaddr_in peer;
	double tried; /* when the last attempt began */
	char kept[KEPT]; /* lines that must not be lost, oldest first */
	size_t kept_used, first; /* bytes; those of the first line, which is never given up */
	char queue[QUEUE]; /* what the kernel has not taken yet: queue[from] to queue[to - 1] */
	size_t from, to;
	bool behind; /* a line that must not be lost didn't get into the queue */
} report;

/* --- what is to be sent -------------------------------------------------------------------------------------------- */

static void keep(const char *line, size_t length)
{
	while (report.kept_used + length > KEPT) {
		char *oldest = report.kept + report.first;
		char *end = memchr(oldest, '\n', report.kept_used - report.first);

		if (!end)
			return; /* longer than all the room: facts.c writes no such line */
		report.kept_used -= (size_t)(end + 1 - oldest);
		memmove(oldest, end + 1, report.kept_used - report.first);
	}
	memcpy(report.kept + report.kept_used, line, length);
	report.kept_used += length;
	if (!report.first)
		report.first = length;
}

static void queue_all_kept(void)
{
	memcpy(report.queue, report.kept, report.kept_used);
	report.from = 0;
	report.to = report.kept_used;
	report.behind = false;
}

static bool queue_line(const char *line, size_t length)
{
	memmove(report.queue, report.queue + report.from, report.to - report.from);
	report.to -= report.from;
	report.from = 0;
	if (report.to + length > QUEUE)
		return false;
	memcpy(report.queue + report.to, line, length);
	report.to += length;
	return true;
}

/* --- the connection ------------------------------------------------------------------------------------------------ */

static void drop(void)
{
	close(report.fd);
	report.state = CLOSED;
}

static void opened(void)
{
	report.state = OPEN;
	queue_all_kept(); /* a broken connection may have lost any of them */
}

static void begin(void)
{
	int unheard = UNHEARD, in_kernel = IN_KERNEL;

	report.tried = now();
	report.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (report.fd < 0) {
		if (errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT || errno == ENOSYS)
			report.state = OFF;
		return;
	}
	setsockopt(report.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unheard, sizeof(unheard));
	setsockopt(report.fd, SOL_SOCKET, SO_SNDBUF, &in_kernel, sizeof(in_kernel));
	if (connect(report.fd, (struct sockaddr *)&report.peer, sizeof(report.peer)) == 0)
		opened();
	else if (errno == EINPROGRESS)
		report.state = CONNECTING;
	else
		close(report.fd);
}

static void look_whether_connected(void)
{
	struct pollfd ready = { .fd = report.fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int error = 0;

	if (poll(&ready, 1, 0) > 0) {
		if (getsockopt(report.fd, SOL_SOCKET, SO_ERROR, &error, &size) || error)
			drop();
		else
			opened();
	} else if (now() - report.tried > ATTEMPT) {
		drop();
	}
}

/* A bot has nothing to say; what another peer says, a bounded part of it at a time, is thrown away. False: it ended. */
static bool swallow(void)
{
	char bytes[4096];
	ssize_t got = recv(report.fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Gives the kernel what it takes. */
static void flush(void)
{
	while (report.state == OPEN && (report.from < report.to || report.behind)) {
		ssize_t sent;

		if (report.from == report.to)
			queue_all_kept();
		sent = send(report.fd, report.queue + report.from, report.to - report.from, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent > 0)
			report.from += (size_t)sent;
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			drop();
	}
}

/* One step, without waiting. */
static void tend(void)
{
	if (report.state == CLOSED && now() - report.tried >= RETRY)
		begin();
	if (report.state == CONNECTING)
		look_whether_connected();
	if (report.state == OPEN && !swallow())
		drop();
	flush();
}

/* --- waiting ------------------------------------------------------------------------------------------------------- */

static bool is_open(void)
{
	return report.state == OPEN;
}

static bool is_sent(void)
{
	return report.state == OPEN && report.from == report.to && !report.behind;
}

static bool wait_for(bool (*reached)(void), double until)
{
	while (report.state != OFF) {
		struct pollfd fd = { .events = POLLIN };

		tend();
		if (reached())
			return true;
		if (now() >= until)
			break;
		fd.fd = report.state == CLOSED ? -1 : report.fd;
		if (report.state == CONNECTING || report.from < report.to)
			fd.events |= POLLOUT;
		poll(&fd, 1, 100);
	}
	return false;
}

static bool is_acknowledged(void)
{
	int bytes = 1;

	return ioctl(report.fd, SIOCOUTQ, &bytes) == 0 && bytes == 0;
}

/* True if the peer has got all: it has ended the connection in good order, or at least acknowledged each byte. */
static bool say_goodbye(double until)
{
	struct pollfd fd = { .fd = report.fd, .events = POLLIN };
	double enough = now() + GOODBYE;

	shutdown(report.fd, SHUT_WR);
	while (now() < until) {
		char bytes[4096];
		ssize_t got = recv(report.fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (got == 0)
			return true;
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (now() > enough && is_acknowledged())
			return true;
		poll(&fd, 1, 100);
	}
	return false;
}

void report_finish(void)
{
	double until = now() + REPORT_FINISH;

	while (wait_for(is_sent, until) && !say_goodbye(until))
		drop();
}

/* --- beginning ----------------------------------------------------------------------------------------------------- */

static bool read_peer(const char *peer)
{
	const char *colon = strchr(peer, ':');
	char address[INET_ADDRSTRLEN];
	long port;

	if (!colon || colon - peer >= (long)sizeof(address))
		return false;
	snprintf(address, sizeof(address), "%.*s", (int)(colon - peer), peer);
	port = read_number(colon + 1, 1, 0);
	report.peer.sin_family = AF_INET;
	report.peer.sin_port = htons((uint16_t)port);
	return port > 0 && port < 65536 && inet_pton(AF_INET, address, &report.peer.sin_addr) == 1;
}

bool report_start(const char *peer)
{
	if (!read_peer(peer))
		return false;
	report.state = CLOSED;
	report.tried = -RETRY;
	return wait_for(is_open, now() + REPORT_START);
}

void report_line(const char *line, size_t length, bool must_not_be_lost)
{
	if (report.state == OFF)
		return;
	tend();
	if (must_not_be_lost)
		keep(line, length);
	if (report.state == OPEN && !queue_line(line, length) && must_not_be_lost)
		report.behind = true;
	flush();
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The second way for init's facts: a TCP connection to the bot, for machines without a console.
 *
 * Nothing here blocks on a peer, which may be absent, slow, or no bot at all. Lines that must not be lost are kept, and
 * each new connection begins with all that are kept, `ready` first: it tells whose connection this is. So a reader gets
 * repeats, and drops them. A peer that ends its side has ended the connection; what it sends is not looked at.
 */
#ifndef REPORT_H
#define REPORT_H

#include <stdbool.h>
#include <stddef.h>

/* Seconds. Tests have less patience. */
#ifndef REPORT_START
#define REPORT_START 20 /* a switch may take that long to let a port speak */
#endif
#ifndef REPORT_FINISH
#define REPORT_FINISH 10
#endif

/* Connects to "IPV4:PORT", and tries again for REPORT_START seconds. False if that came to nothing by then. */
bool report_start(const char *peer);

/* Sends a line as soon as it can be sent. Does nothing unless report_start() was given a peer. */
void report_line(const char *line, size_t length, bool must_not_be_lost);

/* Waits, for REPORT_FINISH seconds at most, until the peer has got all of it. */
void report_finish(void);

#endif

// SPDX-License-Identifier: GPL-2.0-only
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Measured (docs/reproducers.md): a bad kernel never survived 20 migrations with this delay, and a good one is through
 * with these in about a second under emulation.
 */
static const struct plan DEFAULTS = {
	.migrations = 150,
	.delay = DELAY_USLEEP,
	.delay_length = 500,
	.patience = 10,
	.device = "/dev/kvm",
};

static const char HELP[] =
	"usage: rseq-kvm [--migrations N | --seconds S] [--delay KIND] [--delay-length N] [--keep-going]\n"
	"                [--patience S] [--device PATH] [--guest leaves|spins]\n"
	"Moves a thread from CPU to CPU while it runs a vCPU, and checks that its rseq.cpu_id keeps up.\n"
	"  --migrations N    so many migrations (150)\n"
	"  --seconds S       as many as there are in S seconds\n"
	"  --delay KIND      between two migrations: none, usleep, getcpu or both (usleep)\n"
	"  --delay-length N  microseconds to sleep, or getcpu(2) calls to make (500)\n"
	"  --keep-going      count on after the first mismatch\n"
	"  --patience S      give up after S seconds without any progress (10)\n"
	"  --device PATH     KVM's device (/dev/kvm)\n"
	"  --guest spins     a guest that never leaves KVM_RUN: shows how that ends\n"
	"Prints JSON lines: a heartbeat each second, and the result. Exit code: 0 no mismatch, 1 mismatch,\n"
	"125 can't tell (wrong usage and this help, too).\n";

static const char *const DELAY_NAMES[] = {
	[DELAY_NONE] = "none",
	[DELAY_USLEEP] = "usleep",
	[DELAY_GETCPU] = "getcpu",
	[DELAY_BOTH] = "both",
};
enum { DELAYS = sizeof(DELAY_NAMES) / sizeof(*DELAY_NAMES) };

const char *delay_name(enum delay delay)
{
	return DELAY_NAMES[delay];
}

static bool read_count(uint64_t *count, const char *word)
{
	char *end;

	errno = 0;
	*count = strtoull(word, &end, 10);
	return isdigit((unsigned char)*word) && !*end && !errno && *count > 0 && *count <= UINT32_MAX;
}

static bool read_seconds(double *seconds, const char *word)
{
	char *end;

	*seconds = strtod(word, &end);
	return end != word && !*end && isfinite(*seconds) && *seconds > 0 && *seconds <= 86400;
}

static bool read_delay(enum delay *delay, const char *word)
{
	for (int kind = 0; kind < DELAYS; kind++) {
		if (strcmp(word, DELAY_NAMES[kind]) == 0) {
			*delay = (enum delay)kind;
			return true;
		}
	}
	return false;
}

static bool read_guest(bool *spins, const char *word)
{
	*spins = strcmp(word, "spins") == 0;
	return *spins || strcmp(word, "leaves") == 0;
}

static bool read_option(struct plan *plan, int letter)
{
	switch (letter) {
	case 'm':
		return read_count(&plan->migrations, optarg);
	case 's':
		return read_seconds(&plan->seconds, optarg);
	case 'd':
		return read_delay(&plan->delay, optarg);
	case 'l':
		return read_count(&plan->delay_length, optarg);
	case 'p':
		return read_seconds(&plan->patience, optarg);
	case 'g':
		return read_guest(&plan->guest_spins, optarg);
	case 'k':
		plan->keep_going = true;
		return true;
	case 'D':
		plan->device = optarg;
		return true;
	}
	return false;
}

static bool consistent(struct plan *plan, struct text *why)
{
	if (plan->migrations && plan->seconds > 0)
		text_add(why, "--migrations and --seconds exclude each other");
	else if ((plan->delay & DELAY_USLEEP) && (double)plan->delay_length / 1e6 >= plan->patience)
		text_add(why, "--patience must be longer than the delay");
	else if (!plan->migrations && plan->seconds == 0)
		plan->migrations = DEFAULTS.migrations;
	return !why->used;
}

bool options_read(struct plan *plan, int argc, char **argv, struct text *why)
{
	static const struct option OPTIONS[] = {
		{ "migrations", required_argument, NULL, 'm' }, { "seconds", required_argument, NULL, 's' },
		{ "delay", required_argument, NULL, 'd' },      { "delay-length", required_argument, NULL, 'l' },
		{ "keep-going", no_argument, NULL, 'k' },       { "patience", required_argument, NULL, 'p' },
		{ "device", required_argument, NULL, 'D' },     { "guest", required_argument, NULL, 'g' },
		{ "help", no_argument, NULL, 'h' },             { NULL, 0, NULL, 0 },
	};
	int letter;

	*plan = DEFAULTS;
	plan->migrations = 0;
	opterr = 0;
	while ((letter = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
		if (read_option(plan, letter))
			continue;
		if (letter == 'h')
			fputs(HELP, stderr);
		text_add(why, letter == 'h' ? "help was asked for" : "wrong option or value: %.100s", argv[optind - 1]);
		return false;
	}
	if (optind < argc)
		text_add(why, "no such argument: %.100s", argv[optind]);
	return !why->used && consistent(plan, why);
}

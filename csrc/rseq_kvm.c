// SPDX-License-Identifier: GPL-2.0-only
/*
 * rseq-kvm: does rseq.cpu_id keep up with a thread that is migrated inside ioctl(KVM_RUN)?
 *
 * Exit code as `git bisect run` takes it: 0 it does, 1 it doesn't, 125 can't tell. Nothing but a mismatch that was
 * really seen may end in 1, and nothing but a full set of checks without one in 0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "rseq_area.h"

enum verdict { CLEAN = 0, MISMATCH = 1, CANT_TELL = 125 };

/* Of a run that has a duration instead of a number of migrations: fewer say nothing. */
enum { LEAST_MIGRATIONS = 10 };

static struct race race;

static const char *verdict_name(enum verdict verdict)
{
	return verdict == CLEAN ? "clean" : verdict == MISMATCH ? "mismatch" : "can't tell";
}

/* Single writes of whole lines: whoever reads them gets all of what was said, even of a run that never ends. */
static void say(struct text *line)
{
	text_add(line, "}\n");
	for (size_t done = 0; done < line->used;) {
		ssize_t more = write(STDOUT_FILENO, line->at + done, line->used - done);

		if (more <= 0)
			return;
		done += (size_t)more;
	}
}

static void add_counts(struct text *line, const struct tally *tally)
{
	const struct {
		const char *name;
		uint64_t number;
	} counts[] = {
		{ "migrations", tally->migrations }, { "moves", tally->moves },     { "kvm_runs", tally->kvm_runs },
		{ "reads", tally->reads },           { "retries", tally->retries }, { "mismatches", tally->mismatches },
	};

	text_add(line, "\"seconds\":%.3f", tally->seconds);
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		text_add(line, ",\"%s\":%llu", counts[i].name, (unsigned long long)counts[i].number);
}

static void say_beat(double uptime)
{
	char room[512];
	struct text line = TEXT_OVER(room);
	struct tally tally = race_tally(&race);

	text_add(&line, "{\"beat\":%.0f,", uptime);
	add_counts(&line, &tally);
	say(&line);
}

static void add_first(struct text *line, const struct tally *tally)
{
	if (tally->mismatches)
		text_add(line, ",\"first_mismatch\":{\"seconds\":%.6f,\"rseq_cpu\":%d,\"kernel_cpu\":%u}",
			 tally->first_after, (int)tally->first_rseq_cpu, tally->first_kernel_cpu);
	else
		text_add(line, ",\"first_mismatch\":null");
}

static void add_setting(struct text *line)
{
	static char room[8 * CPUS_MAX]; /* holds any list of CPUs */
	struct text cpus = TEXT_OVER(room);

	cpus_add(&cpus, &race.cpus);
	text_add(line, ",\"delay\":\"%s\",\"delay_length\":%llu", delay_name(race.plan.delay),
		 (unsigned long long)race.plan.delay_length);
	text_add(line, ",\"cpu_count\":%d,\"cpus\":\"%.100s\"", race.cpus.count, cpus.at);
	if (race.registered_by)
		text_add(line, ",\"rseq\":\"%s\"", race.registered_by);
	else
		text_add(line, ",\"rseq\":null");
}

/* The last line, the same members whatever happened. _exit: a thread that hangs in the kernel isn't waited for. */
static void __attribute__((noreturn)) finish(enum verdict verdict, const char *reason)
{
	static char room[4096];
	struct text line = TEXT_OVER(room);
	struct tally tally = race_tally(&race);

	text_add(&line, "{\"verdict\":\"%s\",\"reason\":", verdict_name(verdict));
	text_add_json(&line, reason, strlen(reason));
	text_add(&line, ",");
	add_counts(&line, &tally);
	add_first(&line, &tally);
	add_setting(&line);
	say(&line);
	_exit(verdict);
}

static bool too_few(struct text *why, const char *what, uint64_t number, uint64_t wanted)
{
	if (number >= wanted)
		return false;
	text_add(why, "only %llu %s, at least %llu are needed to tell", (unsigned long long)number, what,
		 (unsigned long long)wanted);
	return true;
}

/*
 * Whether a run without a mismatch says something. For each four migrations there must have been a KVM_RUN, a check,
 * and a check on another CPU than the one before: a thread that is moved on, or back, before it ran there was not migrated at all (a
 * busy migrating thread that holds the other CPU itself makes most of them end so).
 */
static bool enough_seen(const struct tally *tally, struct text *why)
{
	uint64_t wanted = race.plan.migrations ? race.plan.migrations : LEAST_MIGRATIONS;
	uint64_t quarter = (tally->migrations + 3) / 4;

	return !too_few(why, "migrations", tally->migrations, wanted) &&
	       !too_few(why, "KVM_RUNs", tally->kvm_runs, quarter) && !too_few(why, "checks", tally->reads, quarter) &&
	       !too_few(why, "checks on another CPU than the one before", tally->moves, quarter);
}

static enum verdict judge(const struct tally *tally, struct text *why)
{
	if (tally->mismatches) {
		text_add(why, "rseq.cpu_id was %d while the kernel ran the thread on CPU %u", (int)tally->first_rseq_cpu,
			 tally->first_kernel_cpu);
		return MISMATCH;
	}
	if (race.fault.used || race.fault.cut) {
		text_add(why, "%s", race.fault.at);
		return CANT_TELL;
	}
	if (!enough_seen(tally, why))
		return CANT_TELL;
	text_add(why, "rseq.cpu_id was right in every check");
	return CLEAN;
}

/* What must move on: if either stands still for too long, the race is over and says nothing. */
struct progress {
	uint64_t kvm_runs;
	uint64_t migrations;
	uint64_t run_at;     /* nanoseconds: when kvm_runs was last seen to move */
	uint64_t migrate_at; /* and migrations */
};

static bool overdue(uint64_t since)
{
	return (double)(race_now() - since) >= race.plan.patience * 1e9;
}

static void name_stall(struct text *why, const struct tally *tally, bool run)
{
	if (!run)
		text_add(why, "no migration came about");
	else if (tally->in_run)
		text_add(why, "the vCPU thread didn't come back from KVM_RUN");
	else
		text_add(why, "no check of rseq got through between two migrations; a longer delay lets it");
	text_add(why, " for %g s (after %llu KVM_RUNs and %llu migrations)", race.plan.patience,
		 (unsigned long long)tally->kvm_runs, (unsigned long long)tally->migrations);
}

static bool stalled(struct progress *last, struct text *why)
{
	struct tally tally = race_tally(&race);
	uint64_t now = race_now();

	if (tally.kvm_runs != last->kvm_runs)
		last->run_at = now;
	/* Before the first one there is nothing to wait for but the vCPU thread. */
	if (tally.migrations != last->migrations || tally.seconds == 0)
		last->migrate_at = now;
	last->kvm_runs = tally.kvm_runs;
	last->migrations = tally.migrations;
	if (!overdue(last->run_at) && !overdue(last->migrate_at))
		return false;
	name_stall(why, &tally, overdue(last->run_at));
	return true;
}

static void watch(void)
{
	char room[256];
	struct text why = TEXT_OVER(room);
	double tick = race.plan.patience < 4 ? race.plan.patience / 4 : 1;
	uint64_t start = race_now(), beats = 0;
	struct progress last = { .run_at = start, .migrate_at = start };

	while (!race_wait(&race, tick)) {
		uint64_t uptime = (race_now() - start) / 1000000000u;

		if (uptime > beats)
			say_beat((double)uptime);
		beats = uptime;
		if (stalled(&last, &why)) {
			race_stop(&race, why.at);
			race_wait(&race, 1); /* so that the counts are exact, if it can be had */
			return;
		}
	}
}

/* All that the race needs; false with the reason why there can't be one. */
static bool prepare(int argc, char **argv, struct text *why)
{
	struct rseq_area area; /* this thread's own, only to see that there is one */

	if (!options_read(&race.plan, argc, argv, why) || !cpus_allowed(&race.cpus, why))
		return false;
	if (race.cpus.count < 2) {
		text_add(why, "fewer than 2 CPUs (%d): nothing can migrate", race.cpus.count);
		return false;
	}
	if (!rseq_area_get(&area, why))
		return false;
	race.registered_by = area.registered_by;
	return vm_make(&race.vm, race.plan.device, race.plan.guest_spins, why) && race_start(&race, why);
}

int main(int argc, char **argv)
{
	char room[512];
	struct text why = TEXT_OVER(room);
	struct tally tally;
	enum verdict verdict;

	if (!prepare(argc, argv, &why))
		finish(CANT_TELL, why.at);
	watch();
	tally = race_tally(&race);
	verdict = judge(&tally, &why);
	finish(verdict, why.at);
}

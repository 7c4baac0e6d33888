/* SPDX-License-Identifier: GPL-2.0-only */
/* The calling thread's rseq area, whoever registered it. */
#ifndef RSEQ_AREA_H
#define RSEQ_AREA_H

#include <stdint.h>

#include "text.h"

struct rseq_area {
	/*
	 * rseq.cpu_id. Written by the kernel only, and only on this thread's own way to user mode, so no ordering is
	 * needed between the two; volatile keeps the compiler from using a value that it read before a system call.
	 */
	const volatile uint32_t *cpu_id;
	const char *registered_by; /* "glibc" or "own" */
};

/* Finds the C library's area, or registers one. False with a reason: the kernel has no rseq, or refuses. */
bool rseq_area_get(struct rseq_area *area, struct text *why);

#endif

// SPDX-License-Identifier: GPL-2.0-only
#include "rseq_area.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * glibc 2.35 and newer register an area for each thread and tell where it is; a size of 0 says that they did not (no
 * rseq in the kernel, or GLIBC_TUNABLES=glibc.pthread.rseq=0). Weak: older glibc and musl don't have these at all.
 */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

/*
 * The original layout, 32 bytes, which every kernel since v4.18 accepts. The kernel's header isn't used: its struct
 * has grown since, and older kernels refuse the larger size.
 */
struct abi {
	uint32_t cpu_id_start;
	uint32_t cpu_id;
	uint64_t rseq_cs;
	uint32_t flags;
	uint32_t padding[3];
} __attribute__((aligned(32)));

/*
 * ARBITRARY. The signature guards the abort handlers of restartable sequences, and this program has none: it only
 * reads cpu_id. So any number does here. Don't take it, or this registration, as an example for a program that has
 * critical sections: there the signature must stand in the code before each abort handler, and each architecture has
 * rules for its value (it should be no valid instruction).
 */
static const uint32_t ANY_SIGNATURE = 0xb15ec7b0;

/* What the kernel, or glibc for it, writes into cpu_id instead of a CPU: (uint32_t)-1 not yet, -2 failed. */
static bool is_cpu(uint32_t cpu_id)
{
	return (int32_t)cpu_id >= 0;
}

static const char *thread_pointer(void)
{
#ifdef __x86_64__ /* gcc before 11 has no __builtin_thread_pointer() there */
	const char *self;

	__asm__("mov %%fs:0, %0" : "=r"(self));
	return self;
#else
	return __builtin_thread_pointer();
#endif
}

static const struct abi *libc_area(void)
{
	if (!&__rseq_size || !&__rseq_offset || __rseq_size < offsetof(struct abi, cpu_id) + sizeof(uint32_t))
		return NULL;
	return (const struct abi *)(thread_pointer() + __rseq_offset);
}

static const struct abi *own_area(struct text *why)
{
	static _Thread_local struct abi area;

	area.cpu_id = (uint32_t)-1;
	if (syscall(SYS_rseq, &area, sizeof(area), 0, ANY_SIGNATURE) == 0)
		return &area;
	if (errno == ENOSYS)
		text_add(why, "this kernel has no rseq (CONFIG_RSEQ)");
	else
		text_add(why, "rseq registration: %s", strerror(errno));
	return NULL;
}

bool rseq_area_get(struct rseq_area *area, struct text *why)
{
	const struct abi *found = libc_area();

	area->registered_by = found ? "glibc" : "own";
	if (!found)
		found = own_area(why);
	if (!found)
		return false;
	area->cpu_id = &found->cpu_id;
	if (!is_cpu(*area->cpu_id)) {
		text_add(why, "rseq is registered (%s), but cpu_id is %d", area->registered_by, (int)*area->cpu_id);
		return false;
	}
	return true;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/* A virtual machine of one vCPU and one page, whose guest does nothing but leave. */
#ifndef VM_H
#define VM_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

enum {
	GUEST_BASE = 0x10000, /* guest physical address of its page: a multiple of every page size */
	GUEST_MMIO = 0x4000000, /* no memory is there: a store to it leaves the guest */
};

struct vm {
	int kvm;
	int fd;
	int vcpu;
	struct kvm_run *run;
};

struct guest_code {
	const void *at;
	size_t size;
};

/*
 * Makes it, ready to run, from `device` (/dev/kvm). Nothing is freed: it lives as long as the process. `spins` asks
 * for a guest that never leaves, to show what happens then. False with a reason.
 */
bool vm_make(struct vm *vm, const char *device, bool spins, struct text *why);

enum vm_exit {
	VM_LEFT,        /* the guest left, as it is made to */
	VM_INTERRUPTED, /* a signal came first */
	VM_FAILED,      /* `why` says */
};

/* One ioctl(KVM_RUN). */
enum vm_exit vm_run(const struct vm *vm, struct text *why);

/* What each architecture does its own way: vm_x86_64.c, vm_aarch64.c. */
extern const struct guest_code guest_leaves;
extern const struct guest_code guest_spins;
extern const uint32_t guest_exit_reason; /* of guest_leaves */
unsigned long arch_vm_type(int kvm);
bool arch_vcpu_setup(const struct vm *vm, struct text *why);

#endif

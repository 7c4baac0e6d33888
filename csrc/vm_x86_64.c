// SPDX-License-Identifier: GPL-2.0-only
/* x86: a guest in real mode that writes to a port for ever; each write comes out as KVM_EXIT_IO. */
#include "vm.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

static const uint8_t leaves[] = {
	0xe6, 0x80, /* 1: out %al, $0x80 */
	0xeb, 0xfc, /*    jmp 1b */
};
static const uint8_t spins[] = {
	0xeb, 0xfe, /* 1: jmp 1b */
};
const struct guest_code guest_leaves = { leaves, sizeof(leaves) };
const struct guest_code guest_spins = { spins, sizeof(spins) };
const uint32_t guest_exit_reason = KVM_EXIT_IO;

/* Three pages that KVM wants on Intel CPUs for real mode; far from the guest's own page. */
enum { INTEL_TSS = 0xfffbd000u };

unsigned long arch_vm_type(int kvm)
{
	(void)kvm;
	return 0;
}

bool arch_vcpu_setup(const struct vm *vm, struct text *why)
{
	struct kvm_regs regs = { .rflags = 2 }; /* bit 1 is always set; rip 0 is relative to cs */
	struct kvm_sregs sregs;

	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)INTEL_TSS) && errno != EINVAL && errno != ENOTTY)
		goto failed;
	if (ioctl(vm->vcpu, KVM_GET_SREGS, &sregs))
		goto failed;
	sregs.cs.base = GUEST_BASE;
	sregs.cs.selector = GUEST_BASE >> 4;
	if (ioctl(vm->vcpu, KVM_SET_SREGS, &sregs) || ioctl(vm->vcpu, KVM_SET_REGS, &regs))
		goto failed;
	return true;
failed:
	text_add(why, "registers of the vCPU: %s", strerror(errno));
	return false;
}

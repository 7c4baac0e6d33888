// SPDX-License-Identifier: GPL-2.0-only
/* arm64: a guest at EL1, MMU off, that stores where no memory is for ever; each store comes out as KVM_EXIT_MMIO. */
#include "vm.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

static const uint32_t leaves[] = {
	0xb900001f, /* 1: str wzr, [x0] */
	0x17ffffff, /*    b 1b */
};
static const uint32_t spins[] = {
	0x14000000, /* 1: b 1b */
};
const struct guest_code guest_leaves = { leaves, sizeof(leaves) };
const struct guest_code guest_spins = { spins, sizeof(spins) };
const uint32_t guest_exit_reason = KVM_EXIT_MMIO;

/* Type 0 means guest addresses of 40 bits; a CPU with fewer must be asked for what it has. */
unsigned long arch_vm_type(int kvm)
{
	int bits = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

	return bits > 0 && bits < 40 ? KVM_VM_TYPE_ARM_IPA_SIZE((unsigned long)bits) : 0;
}

static bool set_register(const struct vm *vm, uint64_t index, uint64_t value)
{
	struct kvm_one_reg one = {
		.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | index,
		.addr = (uint64_t)(uintptr_t)&value,
	};

	return ioctl(vm->vcpu, KVM_SET_ONE_REG, &one) == 0;
}

bool arch_vcpu_setup(const struct vm *vm, struct text *why)
{
	struct kvm_vcpu_init init;

	memset(&init, 0, sizeof(init));
	if (ioctl(vm->fd, KVM_ARM_PREFERRED_TARGET, &init) == 0 && ioctl(vm->vcpu, KVM_ARM_VCPU_INIT, &init) == 0 &&
	    set_register(vm, KVM_REG_ARM_CORE_REG(regs.pc), GUEST_BASE) &&
	    set_register(vm, KVM_REG_ARM_CORE_REG(regs.regs[0]), GUEST_MMIO))
		return true;
	text_add(why, "registers of the vCPU: %s", strerror(errno));
	return false;
}

// SPDX-License-Identifier: GPL-2.0-only
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static bool failed(struct text *why, const char *what)
{
	text_add(why, "%.200s: %s", what, strerror(errno));
	return false;
}

static bool open_kvm(struct vm *vm, const char *device, struct text *why)
{
	int version;

	vm->kvm = open(device, O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		return failed(why, device);
	version = ioctl(vm->kvm, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		text_add(why, "%.200s doesn't speak KVM's API version %d", device, KVM_API_VERSION);
		return false;
	}
	return true;
}

static bool add_memory(const struct vm *vm, const struct guest_code *code, struct text *why)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = { .guest_phys_addr = GUEST_BASE, .memory_size = size };

	if (page == MAP_FAILED)
		return failed(why, "memory for the guest");
	memcpy(page, code->at, code->size);
	__builtin___clear_cache(page, (char *)page + code->size);
	region.userspace_addr = (uint64_t)(uintptr_t)page;
	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region))
		return failed(why, "KVM_SET_USER_MEMORY_REGION");
	return true;
}

static bool add_vcpu(struct vm *vm, struct text *why)
{
	int size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *run;

	if (size < (int)sizeof(*vm->run))
		return failed(why, "KVM_GET_VCPU_MMAP_SIZE");
	vm->vcpu = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	if (vm->vcpu < 0)
		return failed(why, "KVM_CREATE_VCPU");
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	if (run == MAP_FAILED)
		return failed(why, "mmap of the vCPU");
	vm->run = run;
	return arch_vcpu_setup(vm, why);
}

bool vm_make(struct vm *vm, const char *device, bool spins, struct text *why)
{
	if (!open_kvm(vm, device, why))
		return false;
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, arch_vm_type(vm->kvm));
	if (vm->fd < 0)
		return failed(why, "KVM_CREATE_VM");
	return add_memory(vm, spins ? &guest_spins : &guest_leaves, why) && add_vcpu(vm, why);
}

enum vm_exit vm_run(const struct vm *vm, struct text *why)
{
	if (ioctl(vm->vcpu, KVM_RUN, 0)) {
		if (errno == EINTR || errno == EAGAIN)
			return VM_INTERRUPTED;
		failed(why, "KVM_RUN");
		return VM_FAILED;
	}
	if (vm->run->exit_reason == guest_exit_reason)
		return VM_LEFT;
	text_add(why, "KVM_RUN came back with exit reason %u instead of %u", vm->run->exit_reason, guest_exit_reason);
	return VM_FAILED;
}

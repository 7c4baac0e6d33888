"""A lab of machines that behave like hardware: QEMU with firmware, disk and console, behind real BMCs and PDUs."""

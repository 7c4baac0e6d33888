"""Kernels offered to machines that boot from the network: once each, and a local disk whenever there is no job."""

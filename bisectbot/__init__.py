"""Finds the commit that broke a Linux kernel."""

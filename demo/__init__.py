"""A Linux tree with a known regression in it, made from Debian's kernel sources for the demo and the tests."""

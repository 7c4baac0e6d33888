"""Switching a machine's power: one way a file; each fits reach.Switch."""

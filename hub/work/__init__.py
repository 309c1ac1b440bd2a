"""Bounded work: admission, budgets, commands, outboxes and the executor."""

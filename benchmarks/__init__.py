"""The judgement: what was measured, what it means, and what to set."""

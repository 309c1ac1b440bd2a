"""The reference hub: who is there, who went silent, and what each node last said."""

"""Who may do what: credentials that are read from files, the identities that they prove, and the gate that asks."""

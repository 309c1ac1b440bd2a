"""Why each node was marked stale although it was up: the cause, what would have mended it, and the story of one case.

    found = explain(evidence_of(run.path))              # every false stale, with kind and cause
    print(found.sum.by_cause)
    story = tell(evidence, flash_at(found, node=17, at_s=3600.0))

A *flash* is a status change that the dashboard shows. A false stale makes up to two, its mark and the return; those
that flap suppression hides are listed too, with no change shown. So the list adds up to both of a run's figures, its
false stales and its visible flaps.
"""

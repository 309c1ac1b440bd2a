"""Whether a hub's setting still meets its goal, and whether its network or its fleet changed.

`counts` counts a log by node and block of time, `chart` tests for a change of a rate, `judgement` combines the tests,
`looks` judges what a log leaves open, `words` puts it into words and JSON. No state is kept between two looks at a log.
"""

"""`make bench`: all comparisons, their results, and the page that shows them."""

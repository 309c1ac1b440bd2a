"""`make bench`: all comparisons, their results, and the page that is made from them."""

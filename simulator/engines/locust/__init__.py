"""Load by many nodes from Locust. Nothing here is imported but by Locust itself: gevent patches the whole process."""

"""Load by many nodes from Locust. Only Locust imports these modules, because gevent patches the whole process."""

"""The engines that run the nodes of a scenario: one module or folder per engine, all behind `contract.Engine`.

virtual   simulated time, no hub
live      real time, a real hub and real gRPC connections
locust    the nodes of `live` as Locust users; Locust itself starts them and adds up the figures, so that this one
          has a command line of its own instead of the contract
"""

"""Heartbench: how should a hub decide that a node is gone, on the network it really has?"""

"""Measuring a network with datagrams of our own: a prober, a responder, and the file of what they saw.

messages    what is sent, as bytes
responder   what arrived of each prober, and its answers
prober      what was sent, answered, and lost on which way
udp         both on sockets: the only module with a clock
"""

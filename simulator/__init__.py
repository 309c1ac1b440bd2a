"""The world around the hub: links, nodes and faults, and the engines that run them."""

"""What a share link shows and what it must not: the frozen text, the scan, the difference, the network.

Leaf rooms without Django: plain values in, plain values out. No rows, no requests, no clock.
"""

#!/usr/bin/env python3
"""Copies a capture without some of its packets, as if the recorder had missed them.

usage: losepackets.py IN OUT NUMBER...   (packets count from 1)
"""
import struct
import sys

lost = {int(n) for n in sys.argv[3:]}
with open(sys.argv[1], "rb") as src, open(sys.argv[2], "wb") as dst:
    head = src.read(24)  # a pcap file header; the numbers are in this machine's order
    dst.write(head)
    n = 0
    while record := src.read(16):
        n += 1
        body = src.read(struct.unpack("=IIII", record)[2])
        if n not in lost:
            dst.write(record + body)

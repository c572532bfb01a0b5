#!/usr/bin/env python3
"""A bad cable: carries frames between two network interfaces and harms some.

usage: badlink.py LEFT RIGHT

Every data-carrying TCP segment from RIGHT to LEFT is counted, and by its
number is dropped, sent twice or held back behind the following ones; so are
some from LEFT to RIGHT. Everything else passes. The pattern is fixed: chance
has no part in it, but what the two kernels answer to it (retransmissions,
selective acknowledgements) is theirs.
"""
import selectors
import socket
import struct
import sys

ETH_P_ALL = 3
OUTGOING = 4


def open_port(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.bind((name, 0))
    return s


def tcp_payload(frame):
    """Returns the number of TCP payload bytes of an IPv4 frame, else 0."""
    if len(frame) < 54 or frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return 0
    ip = 14
    ihl = (frame[ip] & 15) * 4
    total = struct.unpack("!H", frame[ip + 2:ip + 4])[0]
    return total - ihl - (frame[ip + ihl + 12] >> 4) * 4


class Direction:
    def __init__(self, out, drop, twice, late):
        self.out, self.drop, self.twice, self.late = out, drop, twice, late
        self.n = 0
        self.held = []  # (frame, number of segments to let pass first)

    def carry(self, frame):
        if tcp_payload(frame) == 0:
            self.out.send(frame)
            return
        self.n += 1
        if self.n in self.drop:
            pass
        elif self.n in self.late:
            self.held.append([frame, self.late[self.n]])
            return
        else:
            self.out.send(frame)
            if self.n in self.twice:
                self.out.send(frame)
        for h in self.held:
            h[1] -= 1
        for h in [h for h in self.held if h[1] <= 0]:
            self.held.remove(h)
            self.out.send(h[0])

    def flush(self):
        """Sends what is held, when the cable has been idle."""
        for h in self.held:
            self.out.send(h[0])
        self.held.clear()


def main():
    left, right = open_port(sys.argv[1]), open_port(sys.argv[2])
    to_left = Direction(left, drop={4, 5, 17, 31}, twice={9, 24}, late={12: 2, 20: 1, 27: 3, 36: 1})
    to_right = Direction(right, drop={2}, twice={3}, late={})
    sel = selectors.DefaultSelector()
    sel.register(left, selectors.EVENT_READ, to_right)
    sel.register(right, selectors.EVENT_READ, to_left)
    print("ready", flush=True)
    while True:
        events = sel.select(timeout=0.02)
        if not events:
            to_left.flush()
            to_right.flush()
        for key, _ in events:
            frame, addr = key.fileobj.recvfrom(65536)
            if addr[2] != OUTGOING:
                key.data.carry(frame)


main()

#!/usr/bin/env python3
"""A wire with a length: two tap devices, each frame that enters one leaves the other MILLISECONDS later.

    delay.py TAP_A TAP_B MILLISECONDS

The kernel's netem is not in every kernel, and a TCP proxy would answer connects at once; here a handshake takes its
round trip as well. Frames keep their offload header, so that up to 64 KiB travel as one and speed is not limited.
Needs root (Debian's python3, no packages). Prints "ready" once both devices are there; ends with standard input.
"""
import collections
import fcntl
import os
import selectors
import struct
import sys
import time

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 1, 2, 4
# What a router would hold: more is dropped, as there.
MOST_FRAMES = 20_000


def tap(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH14x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(device, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
    return device


def main():
    ends = [tap(sys.argv[1]), tap(sys.argv[2])]
    delay = float(sys.argv[3]) / 1000
    waiting = {end: collections.deque() for end in ends}
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    selector = selectors.DefaultSelector()
    for end in ends:
        selector.register(end, selectors.EVENT_READ)
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        due = [frames[0][0] for frames in waiting.values() if frames]
        timeout = max(0, min(due) - time.monotonic()) if due else None
        for key, _ in selector.select(timeout):
            if key.fd not in waiting:
                if not os.read(key.fd, 4096):
                    return
                continue
            for _ in range(64):
                try:
                    frame = os.read(key.fd, 70_000)
                except BlockingIOError:
                    break
                if len(waiting[key.fd]) < MOST_FRAMES:
                    waiting[key.fd].append((time.monotonic() + delay, frame))
        now = time.monotonic()
        for end, frames in waiting.items():
            while frames and frames[0][0] <= now:
                try:
                    os.write(other[end], frames.popleft()[1])
                except OSError:
                    pass  # The device is down or full: dropped, as on a wire.


main()

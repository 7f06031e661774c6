#!/usr/bin/env bash
# With SO_REUSEPORT an ICMP error does not come back to the socket that sent the datagram.
#
# Expected: IP_RECVERR queues "port unreachable" on the socket whose datagram it is about; ip(7) says that errors are
# queued per socket, and the kernel knows the four addresses and ports that the message quotes.
#
# Seen (Linux 6.18.44, Python 3.11, 2026-11-28): sockets that share one port have the same addresses and ports, and the
# kernel gives the error to the one that a hash of them picks, whoever sent. Of four sockets that each ask 64 dead ports
# in turn, each hears of about a quarter of its own datagrams, and of as many of each other's. Who has a socket a thread
# has to hand errors on, or three in four are lost.
#
#   errors in all: 256
#   heard by the socket that sent: a quarter
#   heard by another one: the rest
#
# Needs python3. Sends to 127.0.0.1 only.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cat >"$dir/errors.py" <<'PY'
import errno, socket, struct, time

IP_RECVERR = 11
first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
first.bind(("127.0.0.1", 0))
members = [first]
for _ in range(3):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(first.getsockname())
    members.append(s)
for s in members:
    s.setsockopt(socket.SOL_IP, IP_RECVERR, 1)
    s.setblocking(False)

# Ports that nobody has: bound for a moment, then given back.
held = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(64)]
for h in held:
    h.bind(("127.0.0.1", 0))
dead = [h.getsockname()[1] for h in held]
for h in held:
    h.close()

own = other = 0
for port in dead:
    for sender in members:
        while True:
            try:
                sender.sendto(b"x", ("127.0.0.1", port))
                break
            except ConnectionRefusedError:
                pass  # an earlier one's error, said once
        time.sleep(0.0005)
        for s in members:
            while True:
                try:
                    s.recvmsg(64, 256, socket.MSG_ERRQUEUE)
                except BlockingIOError:
                    break
                if s is sender:
                    own += 1
                else:
                    other += 1
total = own + other
print("errors in all:", total)
print("heard by the socket that sent:", "a quarter" if 0.1 < own / total < 0.4 else f"{own} of {total}")
print("heard by another one:", "the rest" if other == total - own and other > own else other)
PY

seen=$(python3 "$dir/errors.py")
echo "$seen"
diff <(sed -n 's/^#   //p' "$0") <(echo "$seen") && echo "as it was seen"

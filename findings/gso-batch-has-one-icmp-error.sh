#!/usr/bin/env bash
# Forty datagrams that leave as one UDP_SEGMENT send come back as one ICMP error, which quotes six of them run together.
#
# Expected: as many errors as datagrams, each with the payload of its own, as with forty plain sends to a port that nobody
# has: to UDP_SEGMENT they are forty datagrams, and the data of an error is the payload of the packet that it is about. Or,
# if somebody counted batches, one error that ends where its datagram ends.
#
# Seen (Linux 6.18.44, Python 3.11, 2026-11-28): where nothing cuts the batch apart, as on loopback, the error is of the
# batch. One comes for forty, NoPorts and OutDatagrams of /proc/net/snmp count one as well, and the quote of 520 bytes goes
# on past the end of the first datagram into those after it. So loss that is counted by errors or by these counters comes
# out forty times too small; and who reads a quote must take no more than the first datagram's length of it, which the
# error does not say.
#
#   plain: 40 errors of 100 bytes each, NoPorts 40, OutDatagrams 40
#   one send of 40: 1 errors of 520 bytes each, NoPorts 1, OutDatagrams 1
#   datagrams that the quote begins: 6
#
# Needs root and python3. Sends to 127.0.0.1 of a network namespace of its own, which ends with it.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cat >"$dir/errors.py" <<'PY'
import socket, struct, time

IP_RECVERR, SOL_UDP, UDP_SEGMENT = 11, 17, 103
SIZE, COUNT, DEAD = 100, 40, ("127.0.0.1", 9)


def counters():
    rows = [line.split() for line in open("/proc/net/snmp") if line.startswith("Udp:")]
    return dict(zip(rows[0][1:], map(int, rows[1][1:])))


def report(name, send):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    s.setsockopt(socket.SOL_IP, IP_RECVERR, 1)
    s.setblocking(False)
    before = counters()
    send(s)
    time.sleep(0.2)
    quotes = []
    while True:
        try:
            quotes.append(s.recvmsg(4096, 512, socket.MSG_ERRQUEUE)[0])
        except BlockingIOError:
            break
    gained = {k: v - before[k] for k, v in counters().items()}
    sizes = "/".join(str(n) for n in sorted({len(q) for q in quotes}))
    print(f"{name}: {len(quotes)} errors of {sizes} bytes each, NoPorts {gained['NoPorts']}, OutDatagrams {gained['OutDatagrams']}")
    return quotes


datagrams = [bytes([i]) * SIZE for i in range(COUNT)]


def plain(s):
    for d in datagrams:
        while True:
            try:
                s.sendto(d, DEAD)
                break
            except ConnectionRefusedError:
                pass  # an earlier one's error, said once


def batch(s):
    s.sendmsg([b"".join(datagrams)], [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", SIZE))], 0, DEAD)


report("plain", plain)
quote = report(f"one send of {COUNT}", batch)[0]
print("datagrams that the quote begins:", len(set(quote)))
PY

seen=$(unshare --net sh -c "ip link set lo up && python3 '$dir/errors.py'")
echo "$seen"
diff <(sed -n 's/^#   //p' "$0") <(echo "$seen") && echo "as it was seen"

package iouring

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/internal/uring"
	"github.com/peregrine-rpc/peregrine/transport"
)

// said makes a fuzz input of what FuzzCompletions reads.
func said(list ...uring.CQE) []byte {
	var b []byte
	for _, e := range list {
		b = binary.LittleEndian.AppendUint64(b, e.UserData)
		b = binary.LittleEndian.AppendUint32(b, uint32(e.Result))
		b = binary.LittleEndian.AppendUint32(b, e.Flags)
	}
	return b
}

// FuzzCompletions has receives and sends under way, and completions come that say
// anything at all, about buffers that hold anything at all. Nothing panics; each
// buffer is in one place at any time, and all come back.
func FuzzCompletions(f *testing.F) {
	f.Add([]byte(nil), said(uring.CQE{Result: 40}), true)
	f.Add([]byte{16, 0, 0, 0}, said(
		uring.CQE{Result: rxHeader + 40, Flags: uring.CQEBuffer | uring.CQEMore | 319<<16},
		uring.CQE{Result: rxHeader, Flags: uring.CQEBuffer | 318<<16},
		uring.CQE{Result: -int32(unix.ENOBUFS)},
		uring.CQE{UserData: dataSend, Result: 9},
		uring.CQE{UserData: dataSend | 1, Result: -int32(unix.EAGAIN)},
		uring.CQE{UserData: dataSend | 2, Result: -int32(unix.EMSGSIZE)}), false)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, said(
		uring.CQE{UserData: dataSend | 3<<8, Result: 9, Flags: uring.CQEMore},
		uring.CQE{UserData: dataSend | 3<<8, Result: -1 << 31, Flags: uring.CQENotif},
		uring.CQE{UserData: dataSend | 3<<8 | 1, Result: -int32(unix.ENOMEM), Flags: uring.CQEMore},
		uring.CQE{UserData: dataSend | 3<<8 | 1, Flags: uring.CQENotif | uring.CQEMore},
		uring.CQE{UserData: dataSend | 3<<8 | 1, Flags: uring.CQENotif},
		uring.CQE{UserData: dataSend | 255<<8 | 255, Result: 1},
		uring.CQE{UserData: dataWritable}, uring.CQE{UserData: dataBell}, uring.CQE{UserData: ^uint64(0)},
		uring.CQE{Result: -int32(unix.ECONNREFUSED)}), true)

	f.Fuzz(func(t *testing.T, header, told []byte, lone bool) {
		c := DefaultConfig()
		c.Address, c.MTU, c.GRO, c.Segment, c.RecvBuffer, c.SendBuffer = loopback, 1500, false, false, 1<<16, 1<<16
		tr, err := Open(c, 0, 1)
		if err != nil {
			t.Skip(err)
		}
		defer tr.Close()
		q := inside(tr)
		for b := range uint16(rxBuffers) {
			copy(q.rx.buffer(b), header)
		}
		q.rx.found = !lone
		q.rx.ask(&q.rig, false)
		r, err := q.Resolve(netip.MustParseAddrPort("127.0.0.1:9"), netip.Addr{})
		require.NoError(t, err)
		pkts := transporttest.Loaded(t, q, r, "one", "two", "three")
		require.Equal(t, len(pkts), q.load(pkts))
		for i := range q.tx.flights {
			if f := &q.tx.flights[i]; f.out > 0 {
				f.keep()
			}
		}

		rx := make([]transport.RxPacket, 3)
		for ; len(told) >= 16; told = told[16:] {
			q.completed(&uring.CQE{
				UserData: binary.LittleEndian.Uint64(told),
				Result:   int32(binary.LittleEndian.Uint32(told[8:])),
				Flags:    binary.LittleEndian.Uint32(told[12:]),
			})
			requireOnePlace(t, q)
			for q.rx.pending() {
				n, err := q.Recv(rx)
				require.NoError(t, err)
				requireOnePlace(t, q)
				q.Release(rx[:n])
			}
			requireOnePlace(t, q)
		}

		out := int(q.tx.taken - q.tx.completed)
		for _, done := range q.tx.done {
			if done {
				out--
			}
		}
		all := make([]transport.TxPacket, txHeads)
		require.Equal(t, txHeads-out, q.Reserve(all), "of those that have completed, and no others")
		seen := map[*byte]bool{}
		for _, p := range all[:txHeads-out] {
			require.False(t, seen[&p.Head[0]], "lent twice")
			seen[&p.Head[0]] = true
		}
	})
}

// requireOnePlace requires that each receive buffer is free, the kernel's, filled, or
// the owner's, and nothing else besides.
func requireOnePlace(t *testing.T, q *queue) {
	t.Helper()
	r := &q.rx
	var places [rxBuffers]int
	for _, b := range r.free {
		places[b]++
	}
	if r.mine != noBuffer {
		places[r.mine]++
	}
	for i := range r.count {
		places[r.arrived[(r.next+i)%rxBuffers].buffer]++
	}
	provided := 0
	for b := range places {
		if r.with[b] {
			places[b]++
			provided++
		}
		if r.views[b] > 0 {
			places[b]++
		}
		require.Equal(t, 1, places[b], "buffer %d", b)
	}
	require.Equal(t, provided, r.provided)
}

package raw

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/mem"
)

// datagrams cuts a fuzzed stream: a length of 8 bits, then so many bytes.
func datagrams(stream []byte) (pkts []transport.RxPacket) {
	for len(stream) > 0 && len(pkts) < batch {
		n := min(int(stream[0]), len(stream)-1)
		pkts = append(pkts, transport.RxPacket{Data: stream[1 : 1+n : 1+n]})
		stream = stream[1+n:]
	}
	return pkts
}

func addSeeds(f *testing.F) {
	whole := func(k kind, run uint32, seq, every uint64) []byte {
		b := make([]byte, 1+answerSize)
		b[0] = answerSize
		setHeader(b[1:], k, run, seq)
		binary.LittleEndian.PutUint64(b[1+16:], every)
		return b
	}
	f.Add([]byte{})
	f.Add(whole(echo, 1, 2, 0))
	f.Add(append(whole(bulk, 1, 9, 2), whole(bulk, 1, 10, 2)...))
	f.Add(append(whole(bulk, 1, 9, 1), whole(bulk, 2, 1, 1)...))
	f.Add(whole(answer, 7, 3, 3))
	f.Add(whole(answer, 7, 1<<63, 1<<63))
	f.Add(whole(statistics, 7, 0, 0))
	f.Add(append([]byte{18}, append(whole(statistics, 7, 0, 0)[1:17], "{}"...)...))
	f.Add([]byte{15, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1})
}

// FuzzServer feeds datagrams to a server, which counts each once and sends an
// echo, a bulk answer or its statistics, but nothing for any other.
func FuzzServer(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, stream []byte) {
		a, b := mem.Pair()
		defer a.Close()
		defer b.Close()
		s := NewServer(a, 0, -1)
		rx := datagrams(stream)
		told := uint64(0)
		for i := range rx {
			rx[i].From = b.LocalAddr()
			if d := rx[i].Data; len(d) >= MinEcho && kindOf(d) == statistics {
				told++
			}
		}
		require.NoError(t, s.serve(rx))
		echoes, bulks, malformed := s.Counts()
		require.EqualValues(t, len(rx), told+echoes+bulks+malformed)

		replies := make([]transport.RxPacket, batch+1)
		n, err := b.Recv(replies)
		require.NoError(t, err)
		require.LessOrEqual(t, uint64(n), told+echoes+bulks)
		echoed := rx[:0:0]
		for _, p := range rx {
			if len(p.Data) >= MinEcho && kindOf(p.Data) == echo {
				echoed = append(echoed, p)
			}
		}
		for _, reply := range replies[:n] {
			switch kindOf(reply.Data) {
			case echo:
				require.Equal(t, echoed[0].Data, reply.Data)
				echoed = echoed[1:]
			case answer:
				require.Len(t, reply.Data, answerSize)
				require.LessOrEqual(t, binary.LittleEndian.Uint64(reply.Data[16:]), bulks)
			default:
				require.Equal(t, statistics, kindOf(reply.Data))
			}
		}
		require.Empty(t, echoed)
	})
}

// FuzzClient feeds datagrams to a client as answers to what it sent. It counts
// none that it did not wait for.
func FuzzClient(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, stream []byte) {
		a, b := mem.Pair()
		defer a.Close()
		defer b.Close()
		c, err := NewClient(b, a.LocalAddr())
		require.NoError(t, err)
		c.run = 7
		out, err := a.Resolve(b.LocalAddr(), netip.Addr{})
		require.NoError(t, err)
		arrive := func() {
			tx := newBurst(a)
			for _, d := range datagrams(stream) {
				p, err := tx.next()
				require.NoError(t, err)
				p.Route = out
				p.Head = p.Head[:copy(p.Head, d.Data)]
			}
			require.NoError(t, tx.flush())
		}

		arrive()
		_, _, err = c.findStatistics()
		require.NoError(t, err)

		arrive()
		sent := &sending{Client: c, sent: 5}
		_, err = sent.receive()
		require.NoError(t, err)
		require.LessOrEqual(t, sent.answered, sent.sent)

		arrive()
		echoes := &echoing{Client: c, size: 32, every: 1 << 40, slots: []outstanding{{seq: 1}, {seq: 2}}, next: 2}
		_, err = echoes.receive()
		require.NoError(t, err)
		require.LessOrEqual(t, echoes.completed, uint64(len(datagrams(stream))))
		require.EqualValues(t, 2+echoes.completed, echoes.next)
	})
}

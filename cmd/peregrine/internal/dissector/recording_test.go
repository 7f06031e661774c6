package dissector_test

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/mem"
	"github.com/peregrine-rpc/peregrine/transport/pcapng"
)

// What transport/pcapng records of datagrams of each type is shown as what they are.
func TestRecordingsOfEachTypeAreShown(t *testing.T) {
	t.Parallel()
	vectors := vectors(t)
	path := filepath.Join(t.TempDir(), "f.pcapng")
	recorder, err := pcapng.Create(path, pcapng.Options{})
	require.NoError(t, err)
	near, far := mem.Pair()
	near = recorder.Decorate(0, near)
	route, err := near.Resolve(far.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	types := map[byte]bool{}
	for _, v := range vectors {
		tx, rx := []transport.TxPacket{{Route: route}}, make([]transport.RxPacket, 1)
		require.Equal(t, 1, near.Reserve(tx))
		tx[0].Head = append(tx[0].Head[:0], v.Bytes...)
		n, err := near.Send(tx)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		n, err = far.Recv(rx)
		require.NoError(t, err)
		far.Release(rx[:n])
		if v.Error == "" {
			types[v.Bytes[1]&0xF] = true
		}
	}
	require.Len(t, types, 12, "all that there are")
	require.NoError(t, near.Close())
	require.NoError(t, far.Close())
	require.NoError(t, recorder.Close())
	requireShown(t, vectors, func(t *testing.T, fields ...string) []map[string][]string { return dissect(t, path, fields...) })
}

// A conversation over a bad network is recorded as it passes, and explained.
func TestARecordingOfABadNetworkIsExplained(t *testing.T) {
	t.Parallel()
	patient := peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute})
	path := filepath.Join(t.TempDir(), "f.pcapng")
	recorder, err := pcapng.Create(path, pcapng.Options{Buffer: 1 << 24})
	require.NoError(t, err)
	server, err := peregrine.Listen("mem://127.0.0.1:0", patient, peregrine.WithHandler(7, func(r peregrine.Request) { r.Reply(r.Data()) }))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := peregrine.Dial(ctx, server.Addr().String(), peregrine.WithTransport("mem://127.0.0.1:0"), patient,
		peregrine.WithDecorator(recorder.Decorate), peregrine.WithFault("loss=0.1,dup=0.05,reorder=0.1,seed=5"))
	require.NoError(t, err)
	for i := range 200 {
		text := fmt.Sprintf("call %d", i)
		reply, err := client.Call(ctx, 7, []byte(text), nil)
		require.NoError(t, err)
		require.Equal(t, text, string(reply))
	}
	require.NoError(t, client.Close())
	require.NoError(t, server.Close())
	require.NoError(t, recorder.Close())
	require.Zero(t, recorder.Counts().Missed)

	const prefix = "peregrine."
	count, directions, interfaces := map[string]int{}, map[string]int{}, map[string]bool{}
	for _, packet := range dissect(t, path, prefix+"type", prefix+"method", prefix+"request_in", prefix+"response_in", prefix+"time",
		prefix+"analysis.missing", prefix+"analysis.late", prefix+"analysis.duplicate", prefix+"analysis.first_in", prefix+"malformed",
		"frame.interface_name", "frame.packet_flags_direction") {
		for field, values := range packet {
			count[field] += len(values)
		}
		require.Len(t, packet["frame.packet_flags_direction"], 1)
		directions[packet["frame.packet_flags_direction"][0]]++
		interfaces[packet["frame.interface_name"][0]] = true
		require.NotEmpty(t, packet[prefix+"type"], "all are known")
	}
	require.GreaterOrEqual(t, count[prefix+"method"], 200, count)
	require.GreaterOrEqual(t, count[prefix+"request_in"], 200, "responses know their requests")
	require.GreaterOrEqual(t, count[prefix+"response_in"], 200)
	require.Positive(t, count[prefix+"analysis.missing"], "of what was lost before it was sent")
	require.Positive(t, count[prefix+"analysis.first_in"], "of what was sent again")
	require.Zero(t, count[prefix+"malformed"])
	require.Positive(t, directions["0x00000001"], "inbound")
	require.Positive(t, directions["0x00000002"], "outbound")
	require.Len(t, interfaces, 1)
}

package asavie

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/asavie/xdp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/bench/internal/wire"
	"github.com/peregrine-rpc/peregrine/internal/netns"
)

// BenchmarkEcho has both sides on one thread, which takes turns, as BenchmarkEcho of
// transport/xdp has: what an echo costs both together, by the thread's own clock.
func BenchmarkEcho(b *testing.B) {
	for _, window := range []int{1, 64} {
		b.Run(fmt.Sprint(window, " in flight"), func(b *testing.B) {
			macs := [2]net.HardwareAddr{{2, 0, 0, 9, 0, 1}, {2, 0, 0, 9, 0, 2}}
			var ports [2]netns.Port
			for i := range ports {
				space, err := netns.New()
				if errors.Is(err, netns.ErrNotPermitted) {
					b.Skip(err)
				}
				require.NoError(b, err)
				b.Cleanup(func() { require.NoError(b, space.Close()) })
				ports[i] = netns.Port{Namespace: space, Name: "end", MAC: macs[i]}
			}
			require.NoError(b, netns.Veth(1500, ports[0], ports[1]))
			var ends [2]*xdp.Socket
			for i, p := range ports {
				require.NoError(b, p.Namespace.Do(func() (err error) {
					ends[i], _, err = open(p.Name, 0)
					return err
				}))
				b.Cleanup(func() { require.NoError(b, ends[i].Close()) })
				receive(ends[i])
			}
			template, err := datagram(macs[1].String()+"/"+wire.ClientAddress, macs[0].String()+"/"+wire.ServerAddress)
			require.NoError(b, err)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			before := threadTime(b)
			b.ResetTimer()
			exchange(ends[1], ends[0], template, min(window, b.N), b.N)
			b.ReportMetric(float64(threadTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// exchange has n datagrams go and come back, so many at a time.
func exchange(near, far *xdp.Socket, template []byte, window, n int) {
	write := func(descs []xdp.Desc) {
		for i := range descs {
			descs[i].Len = uint32(len(template))
			copy(near.GetFrame(descs[i]), template)
		}
		if len(descs) > 0 {
			near.Transmit(descs)
		}
	}
	write(near.GetDescs(window))
	for left := n - window; n > 0; {
		arrived := receive(far)
		for _, d := range arrived {
			turn(far.GetFrame(d))
		}
		if len(arrived) > 0 {
			far.Transmit(arrived)
		}
		own := receive(near)
		n -= len(own)
		own = own[:min(len(own), left)]
		left -= len(own)
		write(own)
	}
}

// threadTime is what the calling thread has used of a CPU.
func threadTime(b *testing.B) time.Duration {
	var now unix.Timespec
	require.NoError(b, unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now))
	return time.Duration(now.Nano())
}

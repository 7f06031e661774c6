package doctor

import (
	"slices"
	"strings"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netdev"
	"github.com/peregrine-rpc/peregrine/transport"
)

// HostProbes asks this host, in the calling thread's network namespace. It changes
// nothing: no program is put on an interface.
func HostProbes() Probes { return hostProbes{} }

type hostProbes struct{}

// Interface implements Probes.
func (hostProbes) Interface(name string) Told {
	told := Told{XDP: askXDP(name)}
	e, err := ethtool.NewEthtool()
	if err != nil {
		return told
	}
	defer e.Close()
	if info, err := e.DriverInfo(name); err == nil {
		told.Driver, told.Version, told.Firmware = text(info.Driver), text(info.Version), text(info.FwVersion)
	}
	if features, err := e.Features(name); err == nil {
		told.Features = keep(features, keptFeatures)
	}
	if stats, err := e.Stats(name); err == nil { // drivers have hundreds
		told.Counters = keep(stats, keptCounters)
	}
	if flags, err := e.PrivFlags(name); err == nil {
		told.Flags = flags
	}
	if c, err := e.GetChannels(name); err == nil {
		told.Channels = &Channels{
			int(c.RxCount), int(c.TxCount), int(c.CombinedCount), int(c.MaxRx), int(c.MaxTx), int(c.MaxCombined),
		}
	}
	if r, err := e.GetRing(name); err == nil {
		told.Rings = &Rings{int(r.RxPending), int(r.TxPending), int(r.RxMaxPending), int(r.TxMaxPending)}
	}
	if c, err := e.GetCoalesce(name); err == nil {
		told.Coalesce = &Coalesce{c.UseAdaptiveRxCoalesce != 0, int(c.RxCoalesceUsecs)}
	}
	if p, err := e.GetPause(name); err == nil {
		told.Pause = &Pause{p.RxPause != 0, p.TxPause != 0}
	}
	told.RSS = askRSS(name)
	return told
}

// text is without what may follow a string in a structure of the kernel.
func text(s string) string { s, _, _ = strings.Cut(s, "\x00"); return strings.TrimSpace(s) }

func askRSS(name string) *RSS {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	r, err := netdev.ReadRSS(fd, name)
	if err != nil || len(r.Table) == 0 {
		return nil
	}
	rss := &RSS{Toeplitz: r.Function == 1, Key: len(r.Key)}
	for _, queue := range r.Table {
		rss.Queues = append(rss.Queues, int(queue))
	}
	slices.Sort(rss.Queues)
	rss.Queues = slices.Compact(rss.Queues)
	if fields, errno := getFlowHash(fd, name); errno == 0 {
		rss.UDP = flowLetters(fields)
	}
	return rss
}

// flowLetters writes what is hashed as ethtool does.
func flowLetters(fields uint64) string {
	var letters []byte
	for _, f := range []struct {
		bit    int
		letter byte
	}{{4, 's'}, {5, 'd'}, {6, 'f'}, {7, 'n'}} { // RXH_IP_SRC, RXH_IP_DST, RXH_L4_B_0_1, RXH_L4_B_2_3
		if fields>>f.bit&1 != 0 {
			letters = append(letters, f.letter)
		}
	}
	return string(letters)
}

func askXDP(name string) *XDP {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil
	}
	x := new(XDP)
	if on := link.Attrs().Xdp; on != nil {
		x.Attached = on.Attached
	}
	features, err := netdev.Of(link.Attrs().Index)
	x.Features, x.Known = features.XDP, err == nil
	return x
}

// Backends implements Probes.
func (hostProbes) Backends() Probed {
	p := Probed{UDP: tryBackend("udp"), IOURing: tryBackend("iouring")}
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		p.XDPSocket = err.Error()
		return p
	}
	_ = unix.Close(fd) // nothing was done with it
	return p
}

func tryBackend(name string) Opened {
	o := Opened{Tried: true}
	tr, err := transport.Open(name + "://127.0.0.1:0")
	if err != nil {
		o.Error = err.Error()
		return o
	}
	caps := tr.Caps()
	o.SegmentTx, o.SegmentRx, o.Notes = caps.SegmentTx, caps.SegmentRx, caps.Notes
	_ = tr.Close() // it has done nothing
	return o
}

package doctor

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/transport/udp"
)

func checkUDP(r *report) {
	r.checkBuffers()
	r.checkUDPLoss()
	for _, name := range []string{"net.core.busy_poll", "net.core.busy_read"} {
		if n, _ := r.sysctl(name); n > 0 {
			r.find("busy-poll", fmt.Sprintf("%s is %d µs.", name, n), "sudo sysctl -w "+name+"=0     # unless another program wants it")
		}
	}
	if u := r.Probed.UDP; u.Tried && u.Error == "" && !(u.SegmentTx && u.SegmentRx) {
		r.find("nic-offload", "This kernel refuses UDP_SEGMENT or UDP_GRO.", "Take Linux 5.0 or later.")
	}
}

// checkBuffers compares the limits of sockets' buffers with what is asked for.
func (r *report) checkBuffers() {
	unless := udp.DefaultConfig()
	f := Finding{Code: "udp-buffer"}
	for _, b := range []struct {
		sysctl, key   string
		asked, unless int
	}{
		{"net.core.rmem_max", "recv_buffer", r.Asked.RecvBuffer, unless.RecvBuffer},
		{"net.core.wmem_max", "send_buffer", r.Asked.SendBuffer, unless.SendBuffer},
	} {
		wanted := b.unless
		if b.asked > 0 {
			wanted = b.asked
		}
		have, ok := r.sysctl(b.sysctl)
		if !ok || have >= wanted {
			continue
		}
		f.What += fmt.Sprintf("%s is %s, and sockets ask for %s (%s). ", b.sysctl, measure.Size(have), measure.Size(wanted), b.key)
		f.Do = append(f.Do,
			fmt.Sprintf("sudo sysctl -w %s=%d", b.sysctl, wanted),
			fmt.Sprintf("echo '%s = %d' | sudo tee -a /etc/sysctl.d/90-peregrine.conf     # after a reboot", b.sysctl, wanted))
		f.Changes = append(f.Changes, Change{Path: sysctlPath(b.sysctl), From: r.Host.Sysctl[b.sysctl], To: strconv.Itoa(wanted)})
	}
	if len(f.Changes) == 0 {
		return
	}
	if r.Process.Capabilities["NET_ADMIN"] && !r.Process.UserNamespace {
		f.What += "This process may exceed it; those without CAP_NET_ADMIN may not."
	}
	f.What = strings.TrimSpace(f.What)
	r.add(f)
}

// checkUDPLoss looks at the host's sockets together.
func (r *report) checkUDPLoss() {
	lost, taken := r.Host.UDP["RcvbufErrors"], r.Host.UDP["InDatagrams"]
	if lost == 0 || float64(lost) < float64(taken)*1e-5 {
		return // a hiccup once upon a time
	}
	r.find("udp-loss", fmt.Sprintf("Receive buffers of this host's sockets overflowed %d times since boot, beside %d datagrams received.", lost, taken),
		"nstat -az UdpRcvbufErrors     # twice: does it still grow?",
		"ss -uamp                      # d… in skmem is a socket's own count")
}

func sysctlPath(name string) string {
	return "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
}

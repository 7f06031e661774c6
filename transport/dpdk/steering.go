//go:build dpdk

package dpdk

import (
	"fmt"
	"net/netip"
	"strings"
)

// isolate asks the driver to leave the kernel what no rule takes, before the port is
// configured.
func (p *port) isolate() error {
	if p.cfg.Isolate == "off" || p.cfg.Isolate == "auto" && !strings.HasPrefix(p.driver, "mlx5") {
		return nil
	}
	if err := p.isolateFlows(); err != nil {
		return wrong("isolate", "%s cannot leave the kernel its traffic (%v): give isolate=off", p.driver, err)
	}
	p.isolated = true
	return nil
}

// steer makes the rules of an isolated port anew: UDP to its port, ARP, and ICMP to
// its addresses. Not every way to make rules knows ICMP, so the port does without
// where it must; then it is the kernel that gets it, and knows nothing of the address.
func (p *port) steer() error {
	p.forgetFlows()
	p.withoutICMP = nil
	four, six := p.icmpTargets()
	if len(four) > 0 {
		if err := p.steerUDP(false); err != nil {
			return p.failed("make a flow rule for UDP over IPv4", err)
		}
		if err := p.steerARP(); err != nil {
			return p.failed("make a flow rule for ARP", err)
		}
	}
	if len(six) > 0 {
		if err := p.steerUDP(true); err != nil {
			return p.failed("make a flow rule for UDP over IPv6", err)
		}
	}
	for _, to := range append(four, six...) {
		if err := p.steerICMP(to); err != nil && p.withoutICMP == nil {
			p.withoutICMP = fmt.Errorf("to %v: %w", to, err)
		}
	}
	return nil
}

// icmpTargets are the addresses to which ICMP is for this port: its own, and those in
// which neighbours ask for the MAC of an IPv6 address (RFC 4291, section 2.7.1).
func (p *port) icmpTargets() (four, six []netip.Addr) {
	for _, text := range p.cfg.IP {
		a := netip.MustParsePrefix(text).Addr()
		if a.Is4() {
			four = append(four, a)
			continue
		}
		own := a.As16()
		solicited := [16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: own[13], 14: own[14], 15: own[15]}
		six = append(six, a, netip.AddrFrom16(solicited))
	}
	return four, six
}

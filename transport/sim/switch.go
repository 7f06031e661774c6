package sim

// Switch forwards datagrams whole, along a path with the fewest links, always
// the same, also while one of them is down.
type Switch struct {
	net    *Network
	name   string
	index  int // in Network.switches
	out    []*Pipe
	toward []*Pipe // by index of the switch that the destination is at
}

// Switch adds a switch.
func (n *Network) Switch(name string) *Switch {
	s := &Switch{net: n, name: name, index: len(n.switches)}
	n.switches = append(n.switches, s)
	n.routed = false
	return s
}

// Name implements Node.
func (s *Switch) Name() string { return s.name }

func (s *Switch) network() *Network { return s.net }
func (s *Switch) attach(out *Pipe)  { s.out = append(s.out, out) }
func (s *Switch) arrive(p *Packet)  { s.next(p.to).enter(p) }

// next is the way to a host, or nil.
func (s *Switch) next(h *Host) *Pipe {
	if h.at == s {
		return h.out.back
	}
	if h.at == nil {
		return nil
	}
	if !s.net.routed {
		s.net.findPaths()
	}
	return s.toward[h.at.index]
}

// findPaths fills in the tables of all switches, by a search from each, breadth
// first.
func (n *Network) findPaths() {
	n.routed = true
	for _, s := range n.switches {
		s.toward = make([]*Pipe, len(n.switches))
	}
	for _, target := range n.switches {
		reached := []*Switch{target}
		for len(reached) > 0 {
			near := reached[0]
			reached = reached[1:]
			for _, out := range near.out {
				far, ok := out.to.(*Switch)
				if ok && far != target && far.toward[target.index] == nil {
					far.toward[target.index] = out.back
					reached = append(reached, far)
				}
			}
		}
	}
}

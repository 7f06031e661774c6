package cc

import "errors"

const (
	// dctcpQuiet is after how many round trips without a mark the window grows
	// faster than by a datagram each. A sawtooth between marks is shorter: √(W/2)
	// round trips with W datagrams (section 3.3 of the paper; from memory,
	// unchecked), 26 with the largest window of 1500 bytes each.
	dctcpQuiet = 64
	// dctcpNil is what of the estimate changes no window any more. Smaller numbers
	// would take the processor longer.
	dctcpNil = 1e-30
)

// DCTCPConfig holds the parameters of "dctcp".
type DCTCPConfig struct {
	// Gain is the weight g of the latest round trip in the estimate of the
	// marked fraction; above 0, at most 1.
	Gain         float64 `yaml:"gain"`
	WindowConfig `yaml:",inline"`
}

// defaultDCTCP has g as Linux has it (tcp_dctcp.c, dctcp_shift_g = 4); RFC 8257,
// section 4.2, recommends the same (from memory, unchecked).
func defaultDCTCP() DCTCPConfig {
	return DCTCPConfig{Gain: 1. / 16, WindowConfig: defaultWindows()}
}

// Validate reports the key that is out of range.
func (c *DCTCPConfig) Validate() error {
	return errors.Join(
		checkRange("gain", c.Gain, 0.001, 1),
		c.WindowConfig.validate(),
	)
}

func init() {
	Register(Algorithm{
		Name:   "dctcp",
		Config: func() any { c := defaultDCTCP(); return &c },
		New:    configured(newDCTCP),
	})
}

// dctcp is DCTCP (Alizadeh et al., SIGCOMM 2010; RFC 8257): once per round trip
// with marks the window shrinks by half the fraction of marked packets.
//
// Where it differs: loss counts above a threshold (see flow), and a long time
// without marks ends in slow start.
type dctcp struct {
	flow
	gain  float64
	alpha float64 // estimate of the marked fraction
	// In this round trip:
	packets, marked int
	reduced         bool
	quiet           int // round trips without a mark
}

var _ Controller = (*dctcp)(nil)

func newDCTCP(c DCTCPConfig) Factory {
	return func(p Path) Controller {
		return &dctcp{flow: newFlow(p, c.WindowConfig), gain: c.Gain, alpha: 1}
	}
}

// Rate implements Controller: windows alone bound DCTCP.
func (*dctcp) Rate() uint64 { return 0 }

// Acked implements Controller.
func (d *dctcp) Acked(a Ack) {
	ended := d.acked(&a)
	d.packets += bounded(a.Packets)
	if a.CE > 0 {
		d.marked += bounded(a.CE)
		d.starting, d.quiet = false, 0
		if !d.reduced {
			d.reduced = true
			d.resize(d.reach() * (1 - d.alpha/2))
		}
	} else {
		d.start(a.Bytes)
	}
	if ended {
		d.round(&a)
	}
}

func (d *dctcp) round(a *Ack) {
	fraction := min(float64(d.marked)/float64(max(d.packets, 1)), 1)
	d.alpha += d.gain * (fraction - d.alpha)
	if d.alpha < dctcpNil {
		d.alpha = 0
	}
	grow := !d.reduced && !d.starting && d.limited()
	d.packets, d.marked, d.reduced = 0, 0, false
	d.quiet++
	if d.endRound(a.Now, a.InFlight) {
		d.quiet = 0
		d.recede()
		return
	}
	if d.quiet > dctcpQuiet {
		d.starting = true
	} else if grow {
		d.resize(d.window + float64(d.datagram))
	}
}

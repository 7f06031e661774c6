package cc

import "errors"

// dctcpQuiet is after how many round trips without a mark the window grows
// faster than by a datagram each; a sawtooth between marks is shorter.
const dctcpQuiet = 64

// DCTCPConfig holds the parameters of "dctcp".
type DCTCPConfig struct {
	// Gain is the weight g of the latest round trip in the estimate of the
	// marked fraction; above 0, at most 1.
	Gain float64 `yaml:"gain"`
	// InitialWindow and MaxWindow are in bytes.
	InitialWindow int `yaml:"initial_window"`
	MaxWindow     int `yaml:"max_window"`
}

func defaultDCTCP() DCTCPConfig {
	return DCTCPConfig{Gain: 1. / 16, InitialWindow: 64 << 10, MaxWindow: DefaultWindow}
}

// Validate reports the key that is out of range.
func (c *DCTCPConfig) Validate() error {
	return errors.Join(
		checkRange("gain", c.Gain, 0.001, 1),
		checkWindows(c.InitialWindow, c.MaxWindow),
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
		return &dctcp{flow: newFlow(p, c.InitialWindow, c.MaxWindow), gain: c.Gain, alpha: 1}
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
	} else if d.starting && d.limited() {
		d.resize(d.window + float64(bounded(a.Bytes)))
	}
	if ended {
		d.round(&a)
	}
}

func (d *dctcp) round(a *Ack) {
	fraction := min(float64(d.marked)/float64(max(d.packets, 1)), 1)
	d.alpha += d.gain * (fraction - d.alpha)
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

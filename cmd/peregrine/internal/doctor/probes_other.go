//go:build !linux

package doctor

// HostProbes is for Linux; see [Collect], which finds nothing elsewhere.
func HostProbes() Probes { return nothing{} }

type nothing struct{}

func (nothing) Interface(string) Told { return Told{} }

func (nothing) Backends() Probed { return Probed{} }

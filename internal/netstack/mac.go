package netstack

import (
	"fmt"
	"net"
)

// MAC is an Ethernet address.
type MAC [6]byte

var broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// ParseMAC reads an address such as 02:00:5e:10:00:01.
func ParseMAC(text string) (MAC, error) {
	hw, err := net.ParseMAC(text)
	if err != nil || len(hw) != len(MAC{}) {
		return MAC{}, fmt.Errorf("%q is no Ethernet address: write six bytes such as 02:00:5e:10:00:01", text)
	}
	return MAC(hw), nil
}

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// isStation says whether m can be the address of one station.
func (m MAC) isStation() bool { return m[0]&1 == 0 && m != MAC{} }

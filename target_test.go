package peregrine

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func addrs(texts ...string) (list []netip.Addr) {
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

func TestFamiliesTakeTurns(t *testing.T) {
	t.Parallel()
	for _, c := range [][2][]netip.Addr{
		{addrs("::1", "::2", "10.0.0.1", "10.0.0.2"), addrs("::1", "10.0.0.1", "::2", "10.0.0.2")},
		{addrs("10.0.0.1", "10.0.0.2", "10.0.0.3", "::1"), addrs("10.0.0.1", "::1", "10.0.0.2", "10.0.0.3")},
		{addrs("::ffff:10.0.0.1", "10.0.0.1"), addrs("10.0.0.1")},
		{nil, nil},
	} {
		require.Equal(t, c[1], byTurns(c[0]))
	}
}

func TestTargetsAreWrittenInManyWays(t *testing.T) {
	t.Parallel()
	interfaces, err := net.Interfaces()
	require.NoError(t, err)
	name, index := interfaces[0].Name, strconv.Itoa(interfaces[0].Index)
	local := "fe80::1%" + name
	for text, want := range map[string]target{
		"10.0.0.1:31850":              {addrs: addrs("10.0.0.1"), port: 31850},
		"[::ffff:10.0.0.1]:31850":     {addrs: addrs("10.0.0.1"), port: 31850},
		"[2001:db8::1]:domain":        {addrs: addrs("2001:db8::1"), port: 53},
		"10.0.0.1:domain":             {addrs: addrs("10.0.0.1"), port: 53},
		":7":                          {addrs: addrs("127.0.0.1", "::1"), port: 7},
		"0.0.0.0:7":                   {addrs: addrs("127.0.0.1"), port: 7},
		"[::]:7":                      {addrs: addrs("::1", "127.0.0.1"), port: 7},
		"[::ffff:0.0.0.0]:7":          {addrs: addrs("127.0.0.1"), port: 7},
		"localhost:7":                 {host: "localhost", addrs: addrs("127.0.0.1", "::1"), port: 7},
		"service.example:7":           {host: "service.example", name: "service.example", port: 7},
		"[fe80::1%" + name + "]:7":    {addrs: addrs(local), port: 7},
		"[fe80::1%25" + name + "]:7":  {addrs: addrs(local), port: 7},
		"[fe80::1%" + index + "]:7":   {addrs: addrs(local), port: 7},
		"[fe80::1%25" + index + "]:7": {addrs: addrs(local), port: 7},
		"[fe80::1%no-such-if]:7":      {addrs: addrs("fe80::1%no-such-if"), port: 7},
	} {
		want.text = text
		got, err := parseTarget(context.Background(), text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

//go:build dpdk

package dpdk

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
	"github.com/peregrine-rpc/peregrine/transport"
)

// nic is a card that no virtual device is: testdata/nic.c says what of it can be told.
type nic map[string]string

const nicAddress = "0000:00:06.0"

// ena and connectX are the two that the documents are about.
func ena(more nic) nic {
	return merged(nic{"NIC_DRIVER": "net_ena", "NIC_VENDOR": amazon, "NIC_BOUND": "igb_uio"}, more)
}

func connectX(more nic) nic {
	return merged(nic{"NIC_DRIVER": "mlx5_pci", "NIC_VENDOR": mellanox, "NIC_BOUND": "mlx5_core", "NIC_FLOWS": "devx"}, more)
}

func merged(all, more nic) nic {
	for k, v := range more {
		all[k] = v
	}
	return all
}

// with runs a story in a process of its own, on a machine with that card.
func (n nic) with(t *testing.T, story func(t *testing.T)) {
	t.Helper()
	if os.Getenv("LD_PRELOAD") != "" {
		sys = os.Getenv("NIC_SYS")
		story(t)
		return
	}
	t.Parallel()
	dir := shortDir(t)
	n["NIC_NAME"], n["NIC_LOG"], n["NIC_SYS"] = nicAddress, filepath.Join(dir, "log"), filepath.Join(dir, "sys")
	pretend(t, n["NIC_SYS"], n["NIC_VENDOR"], n["NIC_BOUND"])
	library, err := card()
	require.NoError(t, err)
	n["LD_PRELOAD"] = library
	var env []string
	for k, v := range n {
		env = append(env, k+"="+v)
	}
	runAlone(t, env...)
}

// card is the card's code as a library, made once for all tests of a process, and removed with that.
var card = sync.OnceValues(func() (string, error) {
	flags, err := exec.Command("pkg-config", "--cflags", "libdpdk").Output()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "nic")
	if err != nil {
		return "", err
	}
	cardDir = dir
	library := filepath.Join(dir, "nic.so")
	args := append(strings.Fields(string(flags)), "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, "testdata/nic.c")
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc: %w\n%s", err, out)
	}
	return library, nil
})

var cardDir string

// pretend makes what the kernel would tell in /sys of a machine with that card.
func pretend(t *testing.T, root, vendor, bound string) {
	t.Helper()
	device := filepath.Join(root, "bus/pci/devices", nicAddress)
	require.NoError(t, os.MkdirAll(filepath.Join(root, "class/net/ens6"), 0o755))
	require.NoError(t, os.MkdirAll(device, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(device, "vendor"), []byte(vendor+"\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(device, "numa_node"), []byte("-1\n"), 0o644))
	require.NoError(t, os.Symlink(device, filepath.Join(root, "class/net/ens6/device")))
	if bound != "" {
		require.NoError(t, os.Symlink(filepath.Join(root, "bus/pci/drivers", bound), filepath.Join(device, "driver")))
	}
}

// told is what the card was told so far.
func told(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(os.Getenv("NIC_LOG"))
	require.NoError(t, err)
	return string(text)
}

func onCard() *Config { return small(nicAddress) }

func closed(t *testing.T, p *port, queues int) {
	t.Helper()
	for q := range queues {
		require.NoError(t, p.release(q, 0))
	}
}

func TestACardIsFoundByItsInterfaceAsWell(t *testing.T) {
	connectX(nil).with(t, func(t *testing.T) {
		p := opened(t, small("ens6,txqs_min_inline=0"), 0, 1)
		require.Equal(t, nicAddress, p.device.name)
		require.Contains(t, told(t), "probe "+nicAddress+",txqs_min_inline=0")
		closed(t, p, 1)
	})
}

func TestTheTableOfACardMayBeOfAnySize(t *testing.T) {
	for name, size := range map[string]string{"none": "0", "odd": "100", "64": "64", "512": "512", "2048": "2048"} {
		t.Run(name, func(t *testing.T) {
			ena(nic{"NIC_TABLE": size}).with(t, func(t *testing.T) {
				p := opened(t, onCard(), 0, 4)
				table := p.spreading().table
				require.Len(t, table, map[string]int{"0": 0, "100": 100, "64": 64, "512": 512, "2048": 2048}[os.Getenv("NIC_TABLE")])
				for i, queue := range table {
					require.Equal(t, i%4, int(queue))
				}
				closed(t, p, 1)
			})
		})
	}
}

// Dial chooses the source port by the hash that the card makes, whoever chose its key.
func TestASourcePortIsChosenByTheHashOfTheCard(t *testing.T) {
	own, peer := netip.MustParseAddr("10.0.1.7"), netip.MustParseAddrPort("10.0.1.8:31850")
	for name, c := range map[string]struct {
		card nic
		hash func([]byte) netstack.Hash
	}{
		"our key":              {nic{}, netstack.Toeplitz},
		"another key":          {nic{"NIC_KEY": "other"}, func([]byte) netstack.Hash { return netstack.Toeplitz([]byte(strings.Repeat("\x3c", 40))) }},
		"a key nobody can set": {nic{"NIC_KEY": "fixed"}, func([]byte) netstack.Hash { return netstack.ENA }},
	} {
		t.Run(name, func(t *testing.T) {
			ena(c.card).with(t, func(t *testing.T) {
				cfg := onCard()
				var queues [4]transport.Transport
				for i := range queues {
					var err error
					queues[i], err = Open(*cfg, i, len(queues))
					require.NoError(t, err)
				}
				key, err := cfg.rssKey()
				require.NoError(t, err)
				for i, tr := range queues {
					q := tr.(*queue)
					port := q.sourcePort(own, peer)
					require.NotEqual(t, q.local.Port(), port)
					require.Equal(t, i, int(c.hash(key)(peer, netip.AddrPortFrom(own, port))%4))
				}
				for _, tr := range queues {
					require.NoError(t, tr.Close())
				}
			})
		})
	}
}

func TestACardThatWantsALongerKeyNamesTheLength(t *testing.T) {
	ena(nic{"NIC_KEY_SIZE": "64"}).with(t, func(t *testing.T) {
		_, err := acquire(onCard(), 0, 2)
		require.ErrorContains(t, err, `key "rss_key"`)
		require.ErrorContains(t, err, "wants 64 bytes")
	})
}

func TestMoreQueuesThanACardHasAreRefused(t *testing.T) {
	ena(nic{"NIC_QUEUES": "2"}).with(t, func(t *testing.T) {
		_, err := acquire(onCard(), 0, 3)
		require.ErrorContains(t, err, "has 2 queues and 3 are wanted")
		p := opened(t, onCard(), 0, 2) // the port was closed, and opens again
		closed(t, p, 1)
	})
}

// What a card can compute it does; what it cannot is done for it.
func TestChecksumsAreTheCardsWhereItHasThem(t *testing.T) {
	// RTE_ETH_RX_OFFLOAD_IPV4_CKSUM is 2, and UDP's is 4, as is RTE_ETH_TX_OFFLOAD_UDP_CKSUM.
	for name, c := range map[string]struct{ rx, tx, want string }{
		"all":     {"6", "4", "rx ip udp, tx udp"},
		"receive": {"6", "0", "rx ip udp, tx ,"},
		"send":    {"0", "4", "rx , tx udp"},
		"none":    {"0", "0", "rx , tx ,"},
	} {
		t.Run(name, func(t *testing.T) {
			ena(nic{"NIC_RX_OFFLOADS": c.rx, "NIC_TX_OFFLOADS": c.tx}).with(t, func(t *testing.T) {
				p := opened(t, onCard(), 0, 1)
				require.Contains(t, told(t), c.want)
				require.Equal(t, strings.Contains(c.want, "tx udp"), p.offload(netip.MustParseAddr("10.0.1.8")) != 0)
				closed(t, p, 1)
				cfg := onCard()
				cfg.Checksum = "offload"
				p, err := acquire(cfg, 0, 1)
				if name != "all" {
					require.ErrorContains(t, err, "give auto or software")
					return
				}
				require.NoError(t, err)
				closed(t, p, 1)
				cfg.Checksum = "software"
				p = opened(t, cfg, 0, 1)
				require.Contains(t, told(t), "rx , tx ,")
				closed(t, p, 1)
			})
		})
	}
}

func TestALinkThatIsDownAtStartIsWaitedFor(t *testing.T) {
	ena(nic{"NIC_LINK_AFTER": "20"}).with(t, func(t *testing.T) {
		p := opened(t, onCard(), 0, 1)
		require.True(t, p.up.Load(), "Open waited")
		closed(t, p, 1)
	})
}

func TestACardWithoutALinkOpensAllTheSame(t *testing.T) {
	ena(nic{"NIC_LINK_AFTER": "1000000"}).with(t, func(t *testing.T) {
		tr, err := Open(*onCard(), 0, 1)
		require.NoError(t, err)
		route, err := tr.Resolve(netip.MustParseAddrPort("10.0.1.8:31850"), netip.Addr{})
		require.NoError(t, err)
		tx := []transport.TxPacket{{Route: route}}
		require.Equal(t, 1, tr.Reserve(tx))
		tx[0].Head = tx[0].Head[:1]
		n, err := tr.Send(tx)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		stats := tr.Stats()
		require.Equal(t, uint64(1), stats.TxUnresolved+stats.TxRefused)
		require.NoError(t, tr.Close())
	})
}

func TestAResetThatFailsIsTriedAgain(t *testing.T) {
	ena(nic{"NIC_RESET_AT": "3", "NIC_RESETS_FAIL": "2"}).with(t, func(t *testing.T) {
		p := opened(t, onCard(), 0, 1)
		eventually(t, func() bool { return strings.Count(told(t), "start") == 2 && p.up.Load() })
		require.Equal(t, 2, strings.Count(told(t), "reset fails\n"))
		require.Equal(t, 1, strings.Count(told(t), "reset\n"))
		closed(t, p, 1)
	})
}

func TestACardThatKeepsItsMACSaysSo(t *testing.T) {
	ena(nil).with(t, func(t *testing.T) {
		cfg := onCard()
		cfg.MAC = "02:00:00:00:00:07"
		_, err := acquire(cfg, 0, 1)
		require.ErrorContains(t, err, `key "mac"`)
		require.ErrorContains(t, err, "leave the key out")
	})
}

// The kernel keeps its own ICMP: ours is what comes to our addresses.
func TestAnIsolatedPortTakesWhatIsItsOwn(t *testing.T) {
	connectX(nil).with(t, func(t *testing.T) {
		cfg := onCard()
		cfg.Port = 31850
		p := opened(t, cfg, 0, 2)
		for _, rule := range []string{
			"ipv4 udp 7c6a to 2 queues",
			"ipv6 udp 7c6a to 2 queues",
			"type 0806 to queue 0",
			"ipv4 0a000107 icmp to queue 0",
			"ipv6 fd000000000000000000000000000007 icmp6 to queue 0",
			"ipv6 ff0200000000000000000001ff000007 icmp6 to queue 0",
		} {
			require.Contains(t, told(t), "rule "+rule+"\n")
		}
		require.Equal(t, 6, strings.Count(told(t), "rule "))
		require.Less(t, strings.Index(told(t), "isolate 1"), strings.Index(told(t), "configure"), "as the driver wants it")
		require.Empty(t, p.spreading().table, "its rules name one port")
		notes := strings.Join(p.notes, "\n")
		require.Contains(t, notes, "ARP of this device goes to this process")
		require.NotContains(t, notes, "ICMP")
		closed(t, p, 1)
	})
}

func TestAPortWithoutIPv6TakesNoneFromTheKernel(t *testing.T) {
	connectX(nil).with(t, func(t *testing.T) {
		cfg := onCard()
		cfg.IP = []string{"10.0.1.7/24"}
		p := opened(t, cfg, 0, 1)
		require.Contains(t, told(t), "ipv4 udp")
		require.NotContains(t, told(t), "ipv6")
		closed(t, p, 1)
	})
}

// Steering by Verbs knows no ICMP.
func TestWhereOnlyVerbsSteerThePortOpensWithoutICMP(t *testing.T) {
	connectX(nic{"NIC_FLOWS": "verbs"}).with(t, func(t *testing.T) {
		p := opened(t, onCard(), 0, 2)
		require.Equal(t, 3, strings.Count(told(t), "rule "), "UDP of both families, and ARP")
		require.Contains(t, strings.Join(p.notes, "\n"), "takes no rule for ICMP to 10.0.1.7")
		require.Contains(t, strings.Join(p.notes, "\n"), "item not supported")
		closed(t, p, 1)
	})
}

func TestACardThatCannotIsolateSaysWhatToGive(t *testing.T) {
	connectX(nic{"NIC_FLOWS": ""}).with(t, func(t *testing.T) {
		_, err := acquire(onCard(), 0, 1)
		require.ErrorContains(t, err, `key "isolate"`)
		require.ErrorContains(t, err, "no rules")
		cfg := onCard()
		cfg.Isolate = "off"
		p := opened(t, cfg, 0, 1)
		require.NotContains(t, strings.Join(p.notes, "\n"), "ARP")
		closed(t, p, 1)
	})
}

func TestAMisspeltArgumentIsFoundBeforeTheCardIsTouched(t *testing.T) {
	ena(nil).with(t, func(t *testing.T) {
		_, err := acquire(small(nicAddress+",miss_tx_to=5"), 0, 1)
		require.ErrorContains(t, err, "write miss_txc_to")
		require.NoFileExists(t, os.Getenv("NIC_LOG"))
		p := opened(t, small(nicAddress+",miss_txc_to=5"), 0, 1)
		closed(t, p, 1)
	})
}

//go:build dpdk

package dpdk

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
)

// alone runs a story in a process of its own: EAL starts once in one.
func alone(t *testing.T, story func(t *testing.T)) {
	t.Helper()
	const marker = "PEREGRINE_DPDK_ALONE"
	if os.Getenv(marker) != "" {
		story(t)
		return
	}
	t.Parallel()
	runAlone(t, marker+"=1")
}

// runAlone runs this test in another process, which has more in its environment, and
// adds what that covers to what this one does.
func runAlone(t *testing.T, env ...string) {
	t.Helper()
	var pattern []string
	for _, name := range strings.Split(t.Name(), "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(name)+"$")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+strings.Join(pattern, "/"), "-test.timeout=5m",
		"-test.gocoverdir="+flag.Lookup("test.gocoverdir").Value.String())
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// small configures a device for tests, which run many at a time.
func small(device string) *Config {
	c := DefaultConfig()
	c.Device = device
	c.IP = []string{"10.0.1.7/24", "fd00::7/64"}
	c.Hugepages = "off"
	c.Memory = 64
	c.Buffers = 512
	return &c
}

func opened(t *testing.T, cfg *Config, queue, queues int) *port {
	t.Helper()
	require.NoError(t, cfg.Validate())
	p, err := acquire(cfg, queue, queues)
	require.NoError(t, err)
	return p
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, time.Millisecond)
}

// shortDir is a folder with a short name, as sockets need; t.TempDir's has the test's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dpdk")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

func TestTwoVirtualDevicesFindEachOther(t *testing.T) {
	for name, pair := range map[string][2]string{
		"vhost": {"net_vhost0,iface=%s", "net_virtio_user0,path=%s,queue_size=1024,packed_vq=1"},
		"memif": {"net_memif0,role=server,socket=%s,socket-abstract=no", "net_memif1,role=client,socket=%s,socket-abstract=no"},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t, func(t *testing.T) {
				socket := filepath.Join(shortDir(t), "s")
				server := opened(t, small(fmt.Sprintf(pair[0], socket)), 0, 1)
				require.False(t, server.up.Load(), "nobody is there yet")
				client := opened(t, small(fmt.Sprintf(pair[1], socket)), 0, 1)
				eventually(t, func() bool { return server.up.Load() && client.up.Load() })
				require.NotEqual(t, server.queues[0].lcore, client.queues[0].lcore)
				require.NoError(t, client.release(0, 0))
				eventually(t, func() bool { return !server.up.Load() })
				require.NoError(t, server.release(0, 0))
			})
		})
	}
}

func TestADeviceIsOpenedAgainAndAgainAndLeavesNothing(t *testing.T) {
	alone(t, func(t *testing.T) {
		before := 0
		for i := range 20 {
			p := opened(t, small("net_null0"), 0, 1)
			require.True(t, p.up.Load())
			require.NoError(t, p.release(0, 0))
			if i == 0 {
				before = descriptors(t) // EAL's own stay
			}
		}
		require.Equal(t, before, descriptors(t))
		_, err := os.Stat(fmt.Sprintf("/var/run/dpdk/peregrine-%d", os.Getpid()))
		require.ErrorIs(t, err, os.ErrNotExist)
	})
}

func TestEALLeavesTheThreadsTheirCPUs(t *testing.T) {
	alone(t, func(t *testing.T) {
		before := cpusOfThreads(t)
		p := opened(t, small("net_null0"), 0, 1)
		defer func() { require.NoError(t, p.release(0, 0)) }()
		require.Len(t, before, 1, "all had the same CPUs")
		require.Equal(t, before, cpusOfThreads(t), "all have them now, EAL's threads as well")
	})
}

// cpusOfThreads are the different sets of CPUs that this process's threads have.
func cpusOfThreads(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/status")
	require.NoError(t, err)
	cpus := map[string]bool{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // that thread has ended
		}
		_, rest, _ := strings.Cut(string(text), "Cpus_allowed_list:")
		line, _, _ := strings.Cut(rest, "\n")
		cpus[strings.TrimSpace(line)] = true
	}
	return cpus
}

func TestTheQueuesOfADeviceShareIt(t *testing.T) {
	alone(t, func(t *testing.T) {
		device := "net_vhost0,queues=2,iface=" + filepath.Join(shortDir(t), "s")
		first := opened(t, small(device), 0, 2)
		require.Same(t, first, opened(t, small(device), 1, 2))
		require.NotEqual(t, first.queues[0].lcore, first.queues[1].lcore)
		require.NotEqual(t, first.queues[0].pool, first.queues[1].pool)

		_, err := acquire(small(device), 1, 2)
		require.ErrorContains(t, err, "queue 1 of net_vhost0 is in use")
		_, err = acquire(small(device), 0, 3)
		require.ErrorContains(t, err, "open with 2 queues, not 3")
		other := small(device)
		other.MTU = 1400
		_, err = acquire(other, 0, 2)
		require.ErrorContains(t, err, "give all its queues the same")
		other = small("net_null0")
		other.Memory = 128
		_, err = acquire(other, 0, 1)
		require.ErrorContains(t, err, `key "memory"`)
		require.ErrorContains(t, err, `give all devices that`)

		require.NoError(t, first.release(1, 0))
		require.Same(t, first, opened(t, small(device), 1, 2), "it is still open")
		require.NoError(t, first.release(0, 0))
		require.NoError(t, first.release(1, 0))
		_, err = first.ExtendedStats()
		require.ErrorIs(t, err, errClosed)

		_, err = acquire(small(device), 0, 3)
		require.ErrorContains(t, err, "queues=3")
	})
}

func TestADeviceThatAsksForAResetComesBack(t *testing.T) {
	alone(t, func(t *testing.T) {
		p := opened(t, small("net_null0"), 0, 1)
		const reset, removed = 1, 2
		events, inside := (*uint32)(&p.shared.events), p.queues[0].inside

		// An owner that is at the device is waited for, and kept out then.
		atomic.StoreUint32(inside, 1)
		atomic.StoreUint32(events, reset)
		eventually(t, func() bool { return atomic.LoadUint32(p.down) == 1 })
		require.False(t, p.up.Load())
		atomic.StoreUint32(inside, 0)
		eventually(t, func() bool { return atomic.LoadUint32(p.down) == 0 && p.up.Load() })
		stats, err := p.ExtendedStats()
		require.NoError(t, err)
		require.Contains(t, stats, Stat{"rx_good_packets", 0})

		// One that was pulled out stays away, and can be closed.
		atomic.StoreUint32(events, removed)
		eventually(t, func() bool { return p.gone.Load() && atomic.LoadUint32(p.down) == 1 })
		require.NoError(t, p.release(0, 0))
	})
}

func TestTheClockOfAPortGoesOn(t *testing.T) {
	alone(t, func(t *testing.T) {
		p := opened(t, small("net_null0"), 0, 1)
		defer func() { require.NoError(t, p.release(0, 0)) }()
		before := p.clock.Load()
		eventually(t, func() bool { return p.clock.Load() > before })
	})
}

func TestADeviceTakesAnMTUAndAMAC(t *testing.T) {
	alone(t, func(t *testing.T) {
		cfg := small("net_null0")
		cfg.MTU, cfg.MAC = 9000, "02:00:00:00:00:07"
		p := opened(t, cfg, 0, 1)
		defer func() { require.NoError(t, p.release(0, 0)) }()
		require.Equal(t, 9000, p.mtu)
		require.Equal(t, "02:00:00:00:00:07", p.mac.String())
		require.GreaterOrEqual(t, p.bufferSize(), 9000+14)
		require.GreaterOrEqual(t, p.local.Port(), uint16(netstack.FirstPort))
	})
}

func TestWhatTheHostLacksIsSaidBeforeEALIsAsked(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	busy := filepath.Join(dir, "busy")
	l, err := net.Listen("unix", busy)
	require.NoError(t, err)
	defer l.Close()
	plain := filepath.Join(dir, "plain")
	require.NoError(t, os.WriteFile(plain, nil, 0o600))
	for device, remedy := range map[string]string{
		"0000:ff:1f.7":                     "there is no PCI device",
		"ff:1f.7":                          "dpdk-devbind.py --status",
		"lo":                               "net_af_packet0,iface=lo",
		"net_vhost0":                       "argument iface is missing",
		"net_vhost0,iface=/nowhere/s":      "create it",
		"net_vhost0,iface=" + plain:        "give another path",
		"net_vhost0,iface=" + busy:         "in use by a running process",
		"net_virtio_user0,path=/nowhere/s": "start the vhost side first",
		"net_memif0,zero-copy=yes":         "leave it out",
	} {
		_, err := acquire(small(device), 0, 1)
		require.ErrorContains(t, err, `key "device"`)
		require.ErrorContains(t, err, remedy)
	}
	require.Nil(t, theControl().failed)
}

func TestADeviceOfTheKernelIsNotTaken(t *testing.T) {
	t.Parallel()
	drivers, err := filepath.Glob(pciDir("*") + "/driver")
	require.NoError(t, err)
	for _, link := range drivers {
		driver, err := os.Readlink(link)
		require.NoError(t, err)
		if slices.Contains(append(userDrivers, sharedDrivers...), filepath.Base(driver)) {
			continue
		}
		_, err = acquire(small(filepath.Base(filepath.Dir(link))), 0, 1)
		require.ErrorContains(t, err, "bound to the kernel's driver "+filepath.Base(driver))
		require.ErrorContains(t, err, "dpdk-devbind.py -b vfio-pci")
		return
	}
	t.Skip("no PCI device of this machine has a driver of the kernel")
}

func TestTheSocketOfADeadProcessIsRemoved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	require.FileExists(t, path)
	require.NoError(t, listenAt(path, "iface"))
	require.NoFileExists(t, path)
}

func TestErrorsOfEALAreSentences(t *testing.T) {
	for name, c := range map[string]struct {
		spoil   func(*Config)
		remedy  string
		restart bool
	}{
		"hugepages": {func(c *Config) { c.Hugepages, c.Memory = "on", 1<<20 }, "/proc/sys/vm/nr_hugepages", false},
		"arguments": {func(c *Config) { c.EALArgs = []string{"--nonsense"} }, "correct", !strictEAL.has(libraryRelease())},
		"lcores":    {func(c *Config) { c.Lcores = "none" }, "correct lcores", true},
		"driver":    {func(c *Config) { c.Device = "net_nothing0" }, "no driver of that name", false},
		"mtu":       {func(c *Config) { c.Device, c.MTU = "net_memif0", 9000 }, "carries 1500 bytes at most", false},
		"mac":       {func(c *Config) { c.Device = "net_ring0" }, "has no Ethernet address", false},
		"refused":   {func(c *Config) { c.Device = "net_af_packet0,iface=nowhere" }, "see ip link", false},
		"memory":    {func(c *Config) { c.Memory, c.Buffers = 16, 1<<16 }, "give more, or lower buffers", false},
		"checksum":  {func(c *Config) { c.Checksum = "offload" }, "give auto or software", false},
		"isolate":   {func(c *Config) { c.Isolate = "on" }, "give isolate=off", false},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t, func(t *testing.T) {
				cfg := small("net_null0")
				c.spoil(cfg)
				_, err := acquire(cfg, 0, 1)
				require.ErrorContains(t, err, c.remedy)
				// The process goes on, with devices that are right unless EAL failed.
				p, err := acquire(small("net_null1"), 0, 1)
				if c.restart {
					require.ErrorContains(t, err, "restart")
					return
				}
				if err == nil {
					require.NoError(t, p.release(0, 0))
					return
				}
				require.ErrorContains(t, err, "EAL starts once")
			})
		})
	}
}

func TestHugepagesAreTakenIfEnoughAreFree(t *testing.T) {
	alone(t, func(t *testing.T) {
		cfg := small("net_null0")
		cfg.Hugepages = "auto"
		enough := freeHugepages() >= cfg.Memory
		p := opened(t, cfg, 0, 1)
		require.Equal(t, enough, p.hugepages())
		require.NoError(t, p.release(0, 0))
	})
}

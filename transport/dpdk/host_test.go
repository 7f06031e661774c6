//go:build dpdk

package dpdk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHowACardIsBoundIsSaidForItsMaker(t *testing.T) {
	for name, c := range map[string]struct{ vendor, bound, remedy string }{
		"ENA unbound":         {amazon, "", "bound to no driver: bind it to one for processes: modprobe vfio-pci"},
		"ENA of the kernel":   {amazon, "ena", "bound to the kernel's driver ena"},
		"ENA has a page":      {amazon, "ena", "docs/aws.md"},
		"ConnectX unbound":    {mellanox, "", "/sys/bus/pci/drivers/mlx5_core/bind"},
		"ConnectX has a page": {mellanox, "", "docs/mellanox.md"},
		"another":             {"0x8086", "ixgbe", "dpdk-devbind.py -b vfio-pci"},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t, func(t *testing.T) {
				sys = t.TempDir()
				pretend(t, sys, c.vendor, c.bound)
				for _, device := range []string{nicAddress, "ens6", "00:06.0"} {
					_, err := acquire(small(device), 0, 1)
					require.ErrorContains(t, err, `key "device"`)
					require.ErrorContains(t, err, c.remedy)
				}
			})
		})
	}
}

func TestACardsDriverIsKnownByItsMaker(t *testing.T) {
	for name, c := range map[string]struct{ vendor, bound, driver string }{
		"ENA":        {amazon, "vfio-pci", "net_ena"},
		"ConnectX-5": {mellanox, "mlx5_core", "mlx5_pci"},
		"ConnectX-3": {mellanox, "mlx4_core", ""},
		"another":    {"0x8086", "vfio-pci", ""},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t, func(t *testing.T) {
				sys = t.TempDir()
				pretend(t, sys, c.vendor, c.bound)
				d, err := locate(device{kind: netInterface, name: "ens6"})
				require.NoError(t, err)
				require.Equal(t, c.driver, driverNamed(d))
			})
		})
	}
}

func TestMemoryIsOfTheCardsNodeAndOfTheSizeThatHasMost(t *testing.T) {
	alone(t, func(t *testing.T) {
		sys = t.TempDir()
		pretend(t, sys, amazon, "vfio-pci")
		d := device{kind: pciDevice, name: nicAddress}
		require.Equal(t, -1, numaNode(d))
		require.Equal(t, -1, numaNode(device{name: "0000:00:07.0"}))
		require.NoError(t, os.WriteFile(filepath.Join(pciDir(nicAddress), "numa_node"), []byte("1\n"), 0o644))
		require.Equal(t, 1, numaNode(d))

		require.Zero(t, freeHugepages())
		for size, free := range map[string]string{"2048kB": "64", "1048576kB": "2", "odd": "9"} {
			dir := filepath.Join(sys, "kernel/mm/hugepages/hugepages-"+size)
			require.NoError(t, os.MkdirAll(dir, 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "free_hugepages"), []byte(free+"\n"), 0o644))
		}
		require.Equal(t, 2048, freeHugepages())

		cfg := small(nicAddress)
		cfg.Hugepages, cfg.Memory = "auto", 512
		args, err := ealArgs(cfg, d)
		require.NoError(t, err)
		require.Subset(t, args, []string{"--in-memory", "--single-file-segments", "--socket-mem", "0,512", nicAddress})
		require.NotContains(t, args, "--no-huge")

		cfg.Memory = 4096
		_, err = ealArgs(cfg, d)
		require.ErrorContains(t, err, `key "hugepages"`)
		require.ErrorContains(t, err, "2048 MB are free and 4096 MB are wanted")

		cfg.Hugepages = "off"
		args, err = ealArgs(cfg, d)
		require.NoError(t, err)
		require.Subset(t, args, []string{"--no-huge", "-m", "4096"})
		require.NotContains(t, args, "--single-file-segments", "since 25.11 they exclude each other")
	})
}

package iouring

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

// ordinary is set for a process that gives up what root may do.
const ordinary = "IOURING_TEST_ORDINARY"

// asOrdinary runs this test again in a process of an ordinary user. It tells whether
// this is that process.
func asOrdinary(t *testing.T) (here bool) {
	t.Helper()
	if os.Getenv(ordinary) != "" {
		if os.Geteuid() == 0 {
			const nobody = 65534
			require.NoError(t, unix.Setgroups(nil))
			require.NoError(t, unix.Setresgid(nobody, nobody, nobody))
			require.NoError(t, unix.Setresuid(nobody, nobody, nobody))
		}
		return true
	}
	again := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), ordinary+"=1")
	out, err := again.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, ".go:") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if strings.Contains(string(out), "--- SKIP") {
		t.Skip("as it says")
	}
	return false
}

// mayLock limits the memory that this process may lock.
func mayLock(t *testing.T, bytes uint64) {
	t.Helper()
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: bytes, Max: 1 << 20}))
}

// Linux 6.18 counts rings as locked memory; kernels from 5.12 on to some time before it
// do not.
func TestAnOrdinaryUserWhoMayLockNoMemoryIsToldSoAndGetsPlainUDP(t *testing.T) {
	if !asOrdinary(t) {
		return
	}
	mayLock(t, 0)
	c := DefaultConfig()
	c.Address = loopback
	tr, err := Open(c, 0, 1)
	if err == nil {
		require.NoError(t, tr.Close())
		t.Skip("this kernel does not count rings as locked memory")
	}
	require.ErrorIs(t, err, unix.ENOMEM)
	require.ErrorContains(t, err, "ulimit -l")
	tr, err = transport.Open("auto://" + loopback)
	require.NoError(t, err)
	require.Equal(t, "udp", tr.Caps().Backend)
	require.Contains(t, strings.Join(tr.Caps().Notes, "\n"), "ulimit -l")
	require.NoError(t, tr.Close())
}

func TestAnOrdinaryUsersQueueThatCannotBeBoundGoesOn(t *testing.T) {
	if !asOrdinary(t) {
		return
	}
	mayLock(t, 1<<20)
	a := anyone.at(t, loopback)
	mayLock(t, 0)
	if release, err := transport.BindThread(a); err == nil {
		release()
		t.Skip("this kernel does not count rings as locked memory")
	} else {
		require.ErrorContains(t, err, "ulimit -l")
	}
	transporttest.Send(t, a, transporttest.To(t, a, a), "to itself")
	require.Equal(t, []string{"to itself"}, transporttest.Texts(t, a, 1))
}

// What is sent without a copy is locked meanwhile.
func TestAnOrdinaryUserWhoMayLockNoMoreSendsCopies(t *testing.T) {
	if !asOrdinary(t) {
		return
	}
	mayLock(t, 1<<20)
	v := variants[3]
	require.Equal(t, "zero-copy", v.name)
	a, b := v.at(t, loopback), v.at(t, loopback)
	mayLock(t, 0)
	r := transporttest.To(t, a, b)
	for i := range 10 {
		text := strings.Repeat("x", 9000+i)
		transporttest.Send(t, a, r, text)
		require.Equal(t, []string{text}, transporttest.Texts(t, b, 1))
		completed(t, a, uint64(i+1))
	}
	st := a.Stats()
	require.Equal(t, uint64(10), st.TxPackets)
	require.Zero(t, st.TxRefused+st.TxTooLarge+st.TxZeroCopied)
	require.Zero(t, inside(a).tx.zeroCopy, "it is not asked again")
}

func TestAnOrdinaryUserHasBusyPolling(t *testing.T) {
	if !asOrdinary(t) {
		return
	}
	mayLock(t, 1<<20)
	for _, v := range variants[:2] {
		a := v.at(t, loopback, func(c *Config) { c.BusyPoll = 50 * time.Microsecond })
		for _, note := range a.Caps().Notes {
			t.Log(note) // before Linux 6.9
		}
		transporttest.Send(t, a, transporttest.To(t, a, a), "to itself")
		require.NoError(t, a.Wait(transporttest.Patience))
		require.Equal(t, []string{"to itself"}, transporttest.Texts(t, a, 1))
		require.NoError(t, a.Wait(time.Millisecond))
	}
	_, err := transport.Open("iouring://127.0.0.1:0?busy_poll=2s")
	require.ErrorContains(t, err, "busy_poll")
}

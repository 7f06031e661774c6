package waiter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func opened(t *testing.T) *Waiter {
	t.Helper()
	w, err := New()
	require.NoError(t, err)
	t.Cleanup(func() {
		w.Expel()
		require.NoError(t, w.Close())
	})
	return w
}

func TestAWakeCostsACallOnlyIfTheOwnerSleeps(t *testing.T) {
	t.Parallel()
	w := opened(t)
	for range 1000 {
		w.Wake()
	}
	var count [8]byte
	_, err := unix.Read(w.eventfd, count[:])
	require.ErrorIs(t, err, unix.EAGAIN, "nothing was written")
	require.NoError(t, w.Wait(-1, 0, -1))
}

func TestASleepingOwnerIsWoken(t *testing.T) {
	t.Parallel()
	w := opened(t)
	for range 1000 {
		woken := make(chan error)
		go func() { woken <- w.Wait(-1, 0, -1) }()
		w.Wake()
		require.NoError(t, <-woken)
	}
}

func TestAnOwnerIsExpelledForGood(t *testing.T) {
	t.Parallel()
	w, err := New()
	require.NoError(t, err)
	left := make(chan error)
	go func() {
		for {
			if err := w.Wait(-1, 0, -1); err != nil {
				left <- err
				return
			}
		}
	}()
	w.Expel()
	require.Equal(t, ErrExpelled, <-left)
	require.Equal(t, ErrExpelled, w.Wait(-1, 0, time.Hour))
	require.NoError(t, w.Close())
	require.NoError(t, w.Close(), "closing twice is no error")
	w.Wake() // touches no descriptor that another may have by now
}

func TestASleeperByOtherMeansIsWoken(t *testing.T) {
	t.Parallel()
	w := opened(t)
	bell := make(chan bool, 1)
	w.Otherwise(func(time.Duration) error {
		<-bell
		return nil
	}, func() bool {
		bell <- true
		return true
	})
	for range 1000 {
		woken := make(chan error)
		go func() { woken <- w.Wait(-1, 0, -1) }()
		w.Wake()
		require.NoError(t, <-woken)
		for len(bell) > 0 { // rung when the owner was up already
			<-bell
		}
	}
}

func TestWhereRousingFailsTheBellRings(t *testing.T) {
	t.Parallel()
	w := opened(t)
	w.Otherwise(func(timeout time.Duration) error { return w.Poll(-1, 0, timeout) }, func() bool { return false })
	for range 100 {
		woken := make(chan error)
		go func() { woken <- w.Wait(-1, 0, -1) }()
		require.Eventually(t, w.Asleep, 20*time.Second, time.Microsecond)
		w.Wake()
		require.NoError(t, <-woken)
	}
}
